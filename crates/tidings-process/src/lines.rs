//! Cuts what a program writes into lines.

use bytes::BytesMut;

/// The longest line in bytes; a longer one is cut into several. Even if every byte of it needs six in JSON
/// (`\u0000`), the `log` event that carries it stays under the 64 KiB that an event may have.
pub const MAX_LINE: usize = 8 * 1024;

/// Bytes that have been read, and are handed out again as lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: BytesMut,
}

impl Lines {
    /// Where the next bytes read go.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.pending
    }

    /// The next whole line without its end (LF or CR LF), or as much of a long one as fits [`MAX_LINE`]. `None` until
    /// more has been read.
    pub(crate) fn next_whole(&mut self) -> Option<String> {
        let window = &self.pending[..self.pending.len().min(MAX_LINE + 1)];
        if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
            let line = self.pending.split_to(end + 1);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            return Some(decode(line.strip_suffix(b"\r").unwrap_or(line)));
        }
        if self.pending.len() <= MAX_LINE {
            return None;
        }
        let cut = char_boundary(&self.pending, MAX_LINE);
        Some(decode(&self.pending.split_to(cut)))
    }

    /// What is left once the program has closed its output: a last line that nothing ended.
    pub(crate) fn rest(&mut self) -> Option<String> {
        if self.pending.is_empty() {
            return None;
        }
        Some(decode(&self.pending.split()))
    }
}

/// What is not UTF-8 becomes U+FFFD: a line is text, and JSON has no other way to say it.
fn decode(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// The last place at or before `at` that does not cut a character of UTF-8 in two.
fn char_boundary(bytes: &[u8], at: usize) -> usize {
    let is_continuation = |place: &usize| bytes.get(*place).is_some_and(|byte| byte & 0xC0 == 0x80);
    let cut = (at.saturating_sub(3)..=at).rev().find(|place| !is_continuation(place));
    // Four continuation bytes in a row are no UTF-8 at all, and may be cut anywhere.
    cut.unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for chunk in chunks {
            lines.buffer().extend_from_slice(chunk);
            while let Some(line) = lines.next_whole() {
                out.push(line);
            }
        }
        out.extend(lines.rest());
        out
    }

    #[test]
    fn a_line_ends_at_lf_or_crlf_wherever_the_reads_fall() {
        assert_eq!(lines_of(&[b"one\ntw", b"o\r", b"\n\nfour"]), ["one", "two", "", "four"]);
    }

    #[test]
    fn output_that_ends_in_a_newline_has_no_empty_last_line() {
        assert_eq!(lines_of(&[b"one\n"]), ["one"]);
        assert!(lines_of(&[b""]).is_empty());
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(lines_of(&[b"a\xFFb\n"]), ["a\u{FFFD}b"]);
    }

    #[test]
    fn a_long_line_is_cut_and_nothing_of_it_is_lost() {
        let long = "x".repeat(MAX_LINE * 2 + 5);
        let out = lines_of(&[long.as_bytes(), b"\nshort\n"]);
        assert_eq!(out.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, MAX_LINE, 5, 5]);
        assert_eq!(out[..3].concat(), long);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_one() {
        let line = "x".repeat(MAX_LINE);
        assert_eq!(lines_of(&[line.as_bytes(), b"\n"]), [line]);
    }

    #[test]
    fn a_cut_does_not_split_a_character() {
        let long = format!("{}{}", "x".repeat(MAX_LINE - 1), "é".repeat(10));
        let out = lines_of(&[long.as_bytes()]);
        assert_eq!(out.concat(), long);
        assert_eq!(out[0].len(), MAX_LINE - 1);
    }
}
