//! What `tidings` itself says beside a command's output.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Says things on stderr, each on a line of its own even in the middle of what a command prints.
#[derive(Debug)]
pub(crate) struct Notes {
    /// Whether what the command prints goes to where the notes go.
    shared: bool,
    /// Whether the terminal leaves the beginning of a line to whoever writes.
    raw: AtomicBool,
    /// Whether the last that the command printed was a whole line.
    at_line_start: AtomicBool,
}

impl Notes {
    pub(crate) fn new() -> Self {
        let shared = io::stdout().is_terminal() && io::stderr().is_terminal();
        Self { shared, raw: AtomicBool::new(false), at_line_start: AtomicBool::new(true) }
    }

    /// The terminal's lines are ended by the command's own terminal from now on, or no more.
    pub(crate) fn note_raw(&self, raw: Raw) {
        self.raw.store(raw == Raw::Yes, Ordering::Relaxed);
    }

    /// The command has printed this.
    pub(crate) fn note_output(&self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.at_line_start.store(*last == b'\n', Ordering::Relaxed);
        }
    }

    /// Says something. Where nobody listens, that is no trouble.
    pub(crate) fn say(&self, text: &str) {
        let raw = self.raw.load(Ordering::Relaxed) && io::stderr().is_terminal();
        let end = if raw { "\r\n" } else { "\n" };
        let within_line = self.shared && !self.at_line_start.swap(true, Ordering::Relaxed);
        let begin = if within_line { end } else { "" };
        let _ = io::stderr().write_all(format!("{begin}tidings: {text}{end}").as_bytes());
    }
}

/// Whether a terminal passes everything on as it is (termios(3), "Raw mode").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Yes,
    No,
}
