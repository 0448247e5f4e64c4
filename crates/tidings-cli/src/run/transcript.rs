//! What becomes of a command's output in its job: lines for the log, and how far it is.
//!
//! Pure: bytes go in, entries come out.

use tidings_client::{Draft, Progress};
use tidings_process::{MAX_LINE, Stream};

use super::percent;
use crate::text;

/// One output of a command, cut into what is worth telling.
///
/// A line is what stands on it when it is ended: what was drawn over after a carriage return, as progress bars are, is
/// looked at for a percentage and not told. Colours are left out. A line of more than [`MAX_LINE`] bytes comes in pieces.
#[derive(Debug)]
pub(crate) struct Transcript {
    stream: Stream,
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, which is the end of a line only together with what follows.
    returned: bool,
    /// The percentage that was told last, to the whole.
    told: Option<u8>,
}

impl Transcript {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, line: Vec::new(), returned: false, told: None }
    }

    /// Takes the next bytes, and hands what they complete to `tell`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(Draft)) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(&mut tell),
                b'\r' => {
                    self.look_for_progress(&mut tell);
                    self.returned = true;
                }
                byte => {
                    if std::mem::take(&mut self.returned) {
                        self.line.clear();
                    }
                    if self.line.len() == MAX_LINE {
                        self.cut_line(&mut tell);
                    }
                    self.line.push(byte);
                }
            }
        }
    }

    /// Takes what is left when the output is closed: a last line that nothing ended.
    pub(crate) fn finish(mut self, mut tell: impl FnMut(Draft)) {
        if !self.line.is_empty() {
            self.end_line(&mut tell);
        }
    }

    fn end_line(&mut self, tell: &mut impl FnMut(Draft)) {
        // Looked at already, if it was returned from.
        if !std::mem::take(&mut self.returned) {
            self.look_for_progress(tell);
        }
        tell(log(self.stream, &self.line));
        self.line.clear();
    }

    /// Tells as much of a line that is too long as does not cut a character in two.
    fn cut_line(&mut self, tell: &mut impl FnMut(Draft)) {
        let end = match std::str::from_utf8(&self.line) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.line.len(),
        };
        let rest = self.line.split_off(end);
        tell(log(self.stream, &self.line));
        self.line = rest;
    }

    fn look_for_progress(&mut self, tell: &mut impl FnMut(Draft)) {
        let Some(percent) = percent::last_in(&self.line) else { return };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 100")]
        let whole = percent as u8;
        // One for each per cent is enough for everybody.
        if self.told.replace(whole) != Some(whole) {
            tell(Draft::progress(&Progress::percent(percent)));
        }
    }
}

fn log(stream: Stream, line: &[u8]) -> Draft {
    Draft::log(stream.as_str(), &text::plain(&String::from_utf8_lossy(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of output that comes in these pieces.
    fn told(chunks: &[&[u8]]) -> Vec<String> {
        let mut told = Vec::new();
        let mut tell = |draft: Draft| {
            let data: serde_json::Value = draft.data().to().expect("an event's data");
            told.push(match draft.kind().as_str() {
                "log" => data["line"].as_str().expect("a line").to_owned(),
                _ => format!("{}{}", data["done"], data["unit"].as_str().expect("a unit")),
            });
        };
        let mut transcript = Transcript::new(Stream::Stdout);
        for chunk in chunks {
            transcript.push(chunk, &mut tell);
        }
        transcript.finish(&mut tell);
        told
    }

    #[test]
    fn lines_end_at_lf_and_at_crlf_wherever_the_reads_fall() {
        assert_eq!(told(&[b"one\ntw", b"o\r", b"\n\nfour\r\r\nfive"]), ["one", "two", "", "four", "five"]);
        assert_eq!(told(&[b"one\n"]), ["one"]);
        assert!(told(&[b""]).is_empty());
    }

    #[test]
    fn what_is_drawn_over_is_not_told_but_its_percentage_is() {
        assert_eq!(told(&[b"get  5%\rget 50", b"%\rget 100%\ndone\n"]), ["5%", "50%", "100%", "get 100%", "done"]);
    }

    #[test]
    fn progress_comes_before_its_line_has_ended() {
        let mut count = 0;
        Transcript::new(Stream::Stdout).push(b"12%\r", |_| count += 1);
        assert_eq!(count, 1);
    }

    #[test]
    fn a_percentage_is_told_again_only_once_it_has_moved() {
        assert_eq!(told(&[b"10.1%\r10.9%\r11%\r10%\r"])[..3], ["10.1%", "11%", "10%"]);
    }

    #[test]
    fn colours_and_what_is_no_text_are_left_out() {
        assert_eq!(told(&[b"\x1B[32mgreen\x1B[0m \xFF\n"]), ["green \u{FFFD}"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_nothing_of_it_is_lost() {
        let long = format!("{}{}", "x".repeat(MAX_LINE - 1), "é".repeat(MAX_LINE));
        let pieces = told(&[long.as_bytes()]);
        assert_eq!(pieces.concat(), long);
        assert!(pieces.iter().all(|piece| piece.len() <= MAX_LINE));
        let no_text = told(&[&[0x80; MAX_LINE + 1]]);
        assert_eq!(no_text.concat().chars().count(), MAX_LINE + 1);
    }
}
