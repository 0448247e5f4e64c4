//! What `tidings` itself says beside a command's output.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use crate::text;

/// Says things on stderr, each on a line of its own even in the middle of what a command prints.
///
/// A thread writes them, one after the other: who says something does not wait for somebody to read it.
#[derive(Debug)]
pub(crate) struct Notes {
    said: mpsc::Sender<Said>,
    paper: Arc<Paper>,
}

/// What the thread is handed.
#[derive(Debug)]
enum Said {
    Note(String),
    /// Whoever asks wants to know when all before is written.
    Everything(oneshot::Sender<()>),
}

/// What is written on, as far as it matters to the next note.
#[derive(Debug)]
struct Paper {
    /// Whether what the command prints goes to where the notes go.
    shared: bool,
    /// Whether the terminal leaves the beginning of a line to whoever writes.
    raw: AtomicBool,
    /// Whether the last that the command printed was a whole line.
    at_line_start: AtomicBool,
}

impl Notes {
    pub(crate) fn new() -> io::Result<Self> {
        let shared = io::stdout().is_terminal() && io::stderr().is_terminal();
        let paper = Paper { shared, raw: AtomicBool::new(false), at_line_start: AtomicBool::new(true) };
        let (paper, (said, next)) = (Arc::new(paper), mpsc::channel());
        let writer = Arc::clone(&paper);
        thread::Builder::new().name("notes".to_owned()).spawn(move || writer.take_down(next))?;
        Ok(Self { said, paper })
    }

    /// The terminal's lines are ended by the command's own terminal from now on, or no more.
    pub(crate) fn note_raw(&self, raw: Raw) {
        self.paper.raw.store(raw == Raw::Yes, Ordering::Relaxed);
    }

    /// The command has printed this.
    pub(crate) fn note_output(&self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.paper.at_line_start.store(*last == b'\n', Ordering::Relaxed);
        }
    }

    /// Says something. Where nobody listens, that is no trouble.
    pub(crate) fn say(&self, text: &str) {
        let _ = self.said.send(Said::Note(text.to_owned()));
    }

    /// Waits until what was said is written, or as long as this where nobody reads it.
    pub(crate) async fn finish(&self, patience: Duration) {
        let (written, all) = oneshot::channel();
        let _ = self.said.send(Said::Everything(written));
        let _ = timeout(patience, all).await;
    }
}

impl Paper {
    /// Writes what is said for as long as there is somebody who may say something.
    fn take_down(&self, said: mpsc::Receiver<Said>) {
        for said in said {
            match said {
                Said::Note(said) => self.write(&text::plain(&said)),
                // Who asked may have gone.
                Said::Everything(written) => drop(written.send(())),
            }
        }
    }

    fn write(&self, text: &str) {
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
