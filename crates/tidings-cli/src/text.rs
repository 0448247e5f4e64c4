//! What programs print, made safe to show and to keep.

use std::{borrow::Cow, fmt::Write};

/// The text without escape sequences (ECMA-48) and other control characters, tabs aside: without colours, and without
/// anything that could move a cursor, set a title, answer in the reader's place, or turn round what stands beside it.
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

/// The same JSON, and safe to show: what a terminal would obey is written as `\u009b`. JSON itself leaves no control
/// character below U+0020 in a string (RFC 8259, section 7), and the others can be nowhere else.
pub(crate) fn plain_json(json: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| c >= '\x7F' && is_control(c);
    if !json.contains(is_obeyed) {
        return Cow::Borrowed(json);
    }
    let mut plain = String::with_capacity(json.len());
    for next in json.chars() {
        if is_obeyed(next) {
            // All of them are below U+FFFF, and writing to a string does not fail.
            let _ = write!(plain, "\\u{:04x}", u32::from(next));
        } else {
            plain.push(next);
        }
    }
    Cow::Owned(plain)
}

fn is_control(c: char) -> bool {
    c.is_control() && c != '\t' || turns_text(c)
}

/// Whether it changes the direction of other text: `Bidi_Control` of UAX #9.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
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
            ("\u{202E}turned\u{202C} \u{2067}round\u{2069}", "turned round"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn json_stays_what_it_is() {
        let json = r#"{"tab":"\t","text":"ümläut 🦀"}"#;
        assert!(matches!(plain_json(json), Cow::Borrowed(same) if same == json));
        let text = "\u{9B}2J \x7F \u{202E}turned \u{85}";
        let json = serde_json::to_string(text).expect("JSON");
        let plain = plain_json(&json);
        assert_eq!(plain, r#""\u009b2J \u007f \u202eturned \u0085""#);
        assert_eq!(serde_json::from_str::<String>(&plain).expect("JSON"), text);
    }

    #[test]
    fn a_sequence_that_does_not_end_is_no_trouble() {
        for text in ["a\x1B", "a\x1B[", "a\x1B[12", "a\x1B]0;title", "a\x1B]0;\x1B", "a\x1B("] {
            assert_eq!(plain(text), "a", "{text:?}");
        }
    }
}
