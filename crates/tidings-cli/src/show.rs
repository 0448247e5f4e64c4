//! What people and programs see of jobs that are followed.

use std::io::{self, IsTerminal, Write};

use serde::Deserialize;
use tidings_client::{Event, EventType, Gap, JobId, Update};

use crate::{bars::Bars, text};

/// Who looks, and how jobs are shown to them.
#[derive(Debug)]
pub(crate) enum Show {
    /// Programs: one JSON object a line.
    Json,
    /// Pipes: the jobs' lines, each behind its job's name where there are several.
    Lines(Vec<String>),
    /// People: the lines above bars that stay.
    Bars(Bars),
}

impl Show {
    pub(crate) fn new(jobs: &[JobId], json: bool) -> Self {
        let names: Vec<_> = jobs.iter().map(|job| if jobs.len() > 1 { name(*job) } else { String::new() }).collect();
        match json {
            true => Self::Json,
            false if io::stdout().is_terminal() && io::stderr().is_terminal() => Self::Bars(Bars::new(jobs, names)),
            false => Self::Lines(names),
        }
    }

    /// Shows what has become known of a job.
    pub(crate) fn update(&mut self, lane: usize, update: &Update) -> io::Result<()> {
        if let Self::Bars(bars) = self {
            bars.update(lane, update);
        }
        match update {
            Update::Event(event) => self.event(lane, event),
            Update::Gap(gap) => self.gap(gap),
            _ => Ok(()),
        }
    }

    /// Says something of the server.
    pub(crate) fn note(&self, text: &str) {
        match self {
            Self::Bars(bars) => bars.above(|| say(text)),
            Self::Json | Self::Lines(_) => say(text),
        }
    }

    /// Shows that a job can't be followed any more.
    pub(crate) fn lost(&mut self, lane: usize) {
        if let Self::Bars(bars) = self {
            bars.lost(lane);
        }
    }

    fn event(&mut self, lane: usize, event: &Event) -> io::Result<()> {
        let (name, bars) = match self {
            Self::Json => return write_json(&String::from_utf8_lossy(event.json())),
            Self::Lines(names) => (names.get(lane), None),
            Self::Bars(bars) => (bars.name(lane), Some(&*bars)),
        };
        match event.kind() {
            EventType::Log => {
                let Ok(log) = event.data().to::<Log>() else { return Ok(()) };
                let name = name.map_or("", String::as_str);
                let line = format!("{name}{}", text::plain(&log.line));
                match bars {
                    Some(bars) => bars.above(|| write_line(line.as_bytes())),
                    None => write_line(line.as_bytes()),
                }
            }
            EventType::Failed | EventType::Cancelled if bars.is_none() => {
                say(&format!("{}: {}", event.job(), end_of(event)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn gap(&self, gap: &Gap) -> io::Result<()> {
        let Gap { requested, resumed_at, job, .. } = gap;
        let told = || say(&format!("events {} to {} are no longer kept by the server", requested + 1, resumed_at - 1));
        match self {
            Self::Json => {
                let gap = format!(r#"{{"type":"gap","requested":{requested},"resumed_at":{resumed_at},"job":{job}}}"#);
                write_json(&gap)?;
            }
            Self::Lines(_) => told(),
            Self::Bars(bars) => bars.above(told),
        }
        Ok(())
    }
}

/// The data of a `log` event.
#[derive(Deserialize)]
struct Log {
    line: String,
}

/// How a job has ended, for people: `failed: exit status 3`.
pub(crate) fn end_of(event: &Event) -> String {
    #[derive(Default, Deserialize)]
    struct End {
        error: Option<Failure>,
        reason: Option<String>,
    }
    #[derive(Deserialize)]
    struct Failure {
        message: Option<String>,
    }
    let End { error, reason } = event.data().to().unwrap_or_default();
    let why = error.and_then(|error| error.message).or(reason);
    why.map_or_else(
        || event.kind().as_str().to_owned(),
        |why| format!("{}: {}", event.kind().as_str(), text::plain(&why)),
    )
}

/// What tells a job from others in few letters: the end of its id, which is random.
fn name(job: JobId) -> String {
    let id = job.to_string();
    format!("{} | ", id.get(id.len() - 8..).unwrap_or(&id))
}

/// Says something beside what is shown. Where nobody listens, that is no trouble.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "tidings: {}", text::plain(text));
}

/// Writes JSON as a line: to a program as it is, and to a terminal so that it does nothing but show it.
pub(crate) fn write_json(json: &str) -> io::Result<()> {
    if io::stdout().is_terminal() { write_line(text::plain_json(json).as_bytes()) } else { write_line(json.as_bytes()) }
}

/// Writes a line so that it is there at once.
pub(crate) fn write_line(line: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
