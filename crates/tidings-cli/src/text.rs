//! What programs print, made safe to show and to keep.

use std::borrow::Cow;

/// The text without escape sequences (ECMA-48) and other control characters, tabs aside: without colours, and without
/// anything that could move a cursor, set a title or answer in the reader's place.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\x1B' => skip_escape(&mut rest),
            '\u{9B}' => skip_parameters(&mut rest),
            next if is_control(next) => {}
            next => plain.push(next),
        }
    }
    Cow::Owned(plain)
}

fn is_control(c: char) -> bool {
    c.is_control() && c != '\t'
}

/// Skips what belongs to an escape character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => skip_parameters(rest),
        // Strings for the terminal, such as a title: up to BEL, or to ESC and a backslash.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(next) = rest.next() {
                if next == '\x07' {
                    return;
                }
                if next == '\x1B' {
                    rest.next();
                    return;
                }
            }
        }
        // Intermediate bytes, and one that ends the sequence.
        Some(' '..='/') => drop(rest.find(|next| !(' '..='/').contains(next))),
        Some(_) | None => {}
    }
}

/// Skips the parameters of a control sequence, and the byte that ends it.
fn skip_parameters(rest: &mut std::str::Chars<'_>) {
    rest.find(|next| ('@'..='~').contains(next));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_not_touched() {
        for text in ["", "plain", "tab\tand ümläut 🦀"] {
            assert!(matches!(plain(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn escape_sequences_go() {
        for (text, expected) in [
            ("\x1B[1;32mgreen\x1B[0m", "green"),
            ("\x1B]0;a title\x07text", "text"),
            ("\x1B]8;;http://there\x1B\\link\x1B]8;;\x1B\\", "link"),
            ("\u{9B}31mred", "red"),
            ("\x1B(Bcharset\x1B7", "charset"),
            ("erased\x1B[K", "erased"),
            ("bell\x07 back\x08 nul\0 delete\x7F", "bell back nul delete"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_sequence_that_does_not_end_is_no_trouble() {
        for text in ["a\x1B", "a\x1B[", "a\x1B[12", "a\x1B]0;title", "a\x1B]0;\x1B", "a\x1B("] {
            assert_eq!(plain(text), "a", "{text:?}");
        }
    }
}
