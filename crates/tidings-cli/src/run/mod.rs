//! `tidings run`: a command that others can watch and cancel.

mod copying;
mod transcript;
mod percent;
mod backlog;
mod telling;
mod screen;
mod signals;
mod notes;

use std::{ffi::OsString, io, sync::Arc, time::Duration};

use tidings_client::{CancellationToken, Config, Draft, Json, Kind, Submission};
use tidings_process::{Command, Ending, Launcher, Running};
use tokio::{sync::OnceCell, task::JoinSet, time::sleep};

use self::{
    backlog::Backlog,
    copying::Copying,
    notes::{Notes, Raw},
    screen::Screen,
    signals::{Asked, Signals},
    telling::Telling,
};
use crate::{
    arguments::{Run, Server},
    exit::Exit,
};

/// The pauses of a client that has to be there soon after the server is.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an output may be held up by who should read it, once that keeps something from ending.
const READING_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the command, and tells the server of it as far as the server can be had.
pub(crate) async fn run(server: Server, options: Run) -> Exit {
    let mut config = Config::default();
    config.retry_for = Duration::MAX;
    config.longest_pause = LONGEST_PAUSE;
    config.answer_timeout = ANSWER_TIMEOUT;
    config.connect_timeout = ANSWER_TIMEOUT;
    let client = match server.client_with(config) {
        Ok(client) => client,
        Err(error) => return Exit::trouble(&error),
    };
    let notes = match Notes::new() {
        Ok(notes) => notes,
        Err(error) => return Exit::trouble(&error),
    };
    let telling = Arc::new(Telling {
        client,
        backlog: Backlog::new(options.buffer),
        notes,
        job: OnceCell::new(),
        cancelled: CancellationToken::new(),
        reason: OnceCell::new(),
    });
    let ended = supervise(&telling, options).await;
    telling.notes.finish(READING_TIMEOUT).await;
    ended.unwrap_or_else(|error| Exit::trouble(&error))
}

async fn supervise(telling: &Arc<Telling>, options: Run) -> io::Result<Exit> {
    let mut signals = Signals::listen()?;
    let submission = submission(options.kind, &options.command)?;
    let (command, mut screen) = Screen::prepare(command(options.command))?;
    telling.notes.note_raw(if screen.is_raw() { Raw::Yes } else { Raw::No });
    let running = Launcher::this_program().start(command)?;
    let teller = tokio::spawn(Arc::clone(telling).run(submission, Duration::from_secs(options.lease.into())));
    // Ends with the command: what is typed afterwards is for the next program.
    let mut typing = JoinSet::new();
    if let (Some(keyboard), Some(master)) = (screen.take_keyboard(), running.master()) {
        typing.spawn(screen::pass_on(keyboard, master));
    }

    let mut job = Job { telling, running, stopped: None };
    job.attend(&mut signals).await?;
    let Job { running, stopped, .. } = job;
    let ending = running.wait().await?;
    typing.shutdown().await;
    drop(screen);
    telling.notes.note_raw(Raw::No);
    telling.backlog.push(outcome(ending, stopped));
    telling.backlog.close();

    tokio::select! {
        _ = teller => {}
        () = sleep(Duration::from_secs(options.linger.into())) => {}
        () = impatience(&mut signals) => {}
    }
    account(telling);
    Ok(ending.code().map_or(Exit::TROUBLE, Exit::of_command))
}

/// A command that runs, and why it was stopped.
struct Job<'a> {
    telling: &'a Arc<Telling>,
    running: Running,
    stopped: Option<Stopped>,
}

/// That a command was stopped and did not end by itself, and why, as far as that is known.
struct Stopped(Option<String>);

impl Job<'_> {
    /// Passes on what the command writes, until it and all its descendants have ended, and stops it when it is told to.
    ///
    /// A command that nobody reads waits, as it would without us; one that is stopped ends all the same.
    async fn attend(&mut self, signals: &mut Signals) -> io::Result<()> {
        let mut copying = Copying::new(self.telling)?;
        loop {
            let ends_unread = self.stopped.is_some() && copying.is_held_up();
            tokio::select! {
                more = copying.step(&mut self.running) => if !more {
                    copying.finish();
                    return Ok(());
                },
                asked = signals.next() => match asked {
                    Asked::Cancel(reason) if self.stopped.is_none() => self.cancel(reason),
                    Asked::Cancel(_) | Asked::Kill => {
                        self.stopped.get_or_insert_with(|| Stopped(Some("killed".to_owned())));
                        self.running.kill();
                        copying.leave_unread();
                    }
                    Asked::Resize => if let Some(master) = self.running.master() {
                        // A terminal that is gone has no size.
                        let _ = master.resize_like(io::stdout());
                    },
                },
                () = self.telling.cancelled.cancelled(), if self.stopped.is_none() => self.obey(),
                () = sleep(READING_TIMEOUT), if ends_unread => {
                    copying.leave_unread();
                    self.telling.notes.say("nobody reads the command's output: the rest of it is only in the job's log");
                }
            }
        }
    }

    /// Stops the command because the user of this terminal wants that, and tells the server.
    fn cancel(&mut self, reason: &'static str) {
        self.stopped = Some(Stopped(Some(reason.to_owned())));
        self.running.stop();
        self.telling.notes.say(&format!("{reason}: stopping the command; once more kills it"));
        let telling = Arc::clone(self.telling);
        if let Some(job) = telling.job.get().copied() {
            // The job's end says it too, should this not arrive.
            tokio::spawn(async move { telling.client.cancel(job, Some(reason)).await });
        }
    }

    /// Stops the command because somebody has told the server so.
    fn obey(&mut self) {
        let reason = self.telling.reason.get().cloned();
        let why = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        self.telling.notes.say(&format!("the job was cancelled{why}: stopping the command"));
        self.stopped = Some(Stopped(reason));
        self.running.stop();
    }
}

fn command(words: Vec<OsString>) -> Command {
    let mut words = words.into_iter();
    // There is at least one word: the parser has seen to that.
    Command::new(words.next().unwrap_or_default()).with_arguments(words)
}

fn submission(kind: Kind, words: &[OsString]) -> io::Result<Submission> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let input = Json::from_value(&serde_json::json!({ "command": words })).map_err(io::Error::other)?;
    Ok(Submission::new(kind).with_input(input))
}

/// What the job ends with.
fn outcome(ending: Ending, stopped: Option<Stopped>) -> Draft {
    match stopped {
        Some(Stopped(reason)) => Draft::cancelled(reason.as_deref()),
        None if ending.is_success() => Draft::succeeded(&Json::null()),
        None => Draft::failed("exit-status", &ending.to_string()),
    }
}

/// Waits for somebody who does not want to wait for the server.
async fn impatience(signals: &mut Signals) {
    while signals.next().await == Asked::Resize {}
}

/// Says what the server was not told.
fn account(telling: &Telling) {
    let (left_out, untold) = (telling.backlog.left_out(), telling.backlog.untold());
    let refused = telling.backlog.refused();
    if left_out > 0 {
        telling.notes.say(&format!(
            "{left_out} lines were left out of the job's log: the server was away, or slower than the command"
        ));
    }
    if refused > 0 {
        telling.notes.say(&format!("{refused} lines were left out of the job's log: the server takes none as long"));
    }
    if untold > 0 && telling.job.initialized() {
        telling.notes.say(&format!("the server was not told the last {untold} events, the command's end among them"));
    } else if untold > 0 {
        telling.notes.say("the server did not answer in all the time, and was not told of the command");
    }
}
