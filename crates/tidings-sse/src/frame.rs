//! Events as lines, as the HTML standard has them (9.2.5, "Parsing an event stream").
//!
//! Lines end in LF alone. Every block that is ended has an id and data: a block without data makes some clients drop
//! the id, and others report an event that is none.

use tidings_core::{Cursor, Entry, Framing};

/// What a block takes besides its data and a type of usual length.
const BLOCK_REST: usize = 96;

/// With the event's type, for `addEventListener`.
pub(crate) static TYPED: Framing = Framing { event: typed, gap, heartbeat: b":\n" };

/// Without types, so that a bare `onmessage` gets all of them.
pub(crate) static MESSAGES: Framing = Framing { event: message, gap: gap_message, heartbeat: b":\n" };

/// What a stream begins with. No empty line follows, so that it belongs to the first block.
pub(crate) fn retry(millis: u32) -> String {
    format!("retry: {millis}\n")
}

/// What a client is told that there is no room for just now. Any other status than 200 would make it give up for good.
pub(crate) const OVERLOADED: &str = ": overloaded\nretry: 10000\n";

fn typed(entry: &Entry, id: Cursor, out: &mut Vec<u8>) {
    block(Some(entry.event.kind().as_str()), id, entry.event.json(), out);
}

fn message(entry: &Entry, id: Cursor, out: &mut Vec<u8>) {
    block(None, id, entry.event.json(), out);
}

fn gap(id: Cursor, data: &str, out: &mut Vec<u8>) {
    block(Some("gap"), id, data.as_bytes(), out);
}

/// A gap keeps its type: without it, it could not be told from an event.
fn gap_message(id: Cursor, data: &str, out: &mut Vec<u8>) {
    gap(id, data, out);
}

/// One block. The data are one line of JSON, and the type and the id have no character in them that could end theirs.
fn block(kind: Option<&str>, id: Cursor, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() + BLOCK_REST);
    out.extend_from_slice(b"id: ");
    id.push_to(out);
    if let Some(kind) = kind {
        out.extend_from_slice(b"\nevent: ");
        out.extend_from_slice(kind.as_bytes());
    }
    out.extend_from_slice(b"\n");
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use tidings_core::{Draft, Event, JobId, Tag, Timestamp};

    use super::*;

    fn frame(framing: &Framing, draft: &Draft) -> (String, Event) {
        let event = Event::seal(JobId::new(), (0, Tag::START), Timestamp::from_millis(0), draft);
        let entry = Entry { position: 9, kind: "build".parse().expect("a kind"), event: event.clone() };
        let mut out = Vec::new();
        (framing.event)(&entry, event.cursor(), &mut out);
        (String::from_utf8(out).expect("text"), event)
    }

    #[test]
    fn a_block_is_what_the_wire_shows() {
        let (text, event) = frame(&TYPED, &Draft::started(1));
        let json = String::from_utf8_lossy(event.json());
        assert_eq!(text, format!("id: {}\nevent: started\ndata: {json}\n\n", event.cursor()));
        let (text, event) = frame(&MESSAGES, &Draft::started(1));
        let json = String::from_utf8_lossy(event.json());
        assert_eq!(text, format!("id: {}\ndata: {json}\n\n", event.cursor()));
    }

    #[test]
    fn no_text_in_an_event_forges_a_line() {
        let (text, _) = frame(&TYPED, &Draft::log("s", "a\nid: 9\r\ndata: b\n\nevent: forged\u{2028}\u{85}\0"));
        assert_eq!(text.lines().count(), 4, "{text:?}");
        assert!(!text.contains('\r') && !text.contains('\0'));
    }

    #[test]
    fn a_gap_is_never_a_bare_message() {
        for framing in [&TYPED, &MESSAGES] {
            let mut out = Vec::new();
            (framing.gap)(Cursor::unchecked(3), "{}", &mut out);
            assert_eq!(String::from_utf8_lossy(&out), "id: 3\nevent: gap\ndata: {}\n\n");
        }
    }
}
