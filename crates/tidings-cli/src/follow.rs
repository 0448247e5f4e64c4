//! `tidings follow`: jobs, until they are over.

use std::{collections::HashSet, io, pin::pin, time::Duration};

use futures_util::{StreamExt, stream};
use tidings_client::{Client, Error, EventType, JobId, State, Update};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    arguments::{Follow, Reading, SOON, Server},
    exit::{Exit, with_causes},
    show::{Show, say},
};

/// People are told so often that nothing comes for now, and why, and not with each try.
const TROUBLE_AGAIN: Duration = Duration::from_secs(60);

/// Follows all of them at once.
pub(crate) async fn run(server: Server, options: Follow) -> Exit {
    let mut jobs = options.jobs;
    let mut seen = HashSet::new();
    jobs.retain(|job| seen.insert(*job));
    let client = match server.client() {
        Ok(client) => client,
        Err(error) => return Exit::refused(&error),
    };
    if let Some(job) = jobs.first()
        && let Err(error) = find(&server, *job).await
    {
        return Exit::refused(&error);
    }
    follow(&client, &jobs, &options.reading).await
}

/// Finds out whether the server answers when it is asked for a job, whatever it answers.
///
/// A server that has answered once is worth waiting for should it be away later; one that never did may not exist.
async fn find(server: &Server, job: JobId) -> Result<(), Error> {
    let client = server.impatient_client()?;
    let mut asking = pin!(client.get(job));
    let answer = match timeout(SOON, &mut asking).await {
        Ok(answer) => answer,
        Err(_) => {
            say(&format!("{} does not answer yet", client.base()));
            asking.await
        }
    };
    match answer {
        Err(error) if error.is_temporary() => Err(error),
        // What is wrong with the job is told of it.
        _ => Ok(()),
    }
}

/// Follows jobs over one client, and shows what comes.
pub(crate) async fn follow(client: &Client, jobs: &[JobId], reading: &Reading) -> Exit {
    let (tell, mut troubles) = mpsc::unbounded_channel();
    let follows = jobs.iter().enumerate().map(|(lane, job)| {
        let tell = tell.clone();
        // Nobody needs to know any more once this has ended.
        let mut follow = client.follow(*job).on_pause(move |why| drop(tell.send(explain(why))));
        if !reading.transports.is_empty() {
            follow = follow.with_transports(reading.transports.iter().copied());
        }
        follow.map(move |update| (lane, update)).boxed()
    });
    let mut updates = stream::select_all(follows);
    let mut show = Show::new(jobs, reading.json);
    // How each has ended so far: one that has not, was not followed to its end.
    let mut exits = vec![Exit::REFUSED; jobs.len()];
    let mut told_at: Option<Instant> = None;
    loop {
        let next = tokio::select! {
            Some(why) = troubles.recv() => {
                if told_at.is_none_or(|at| at.elapsed() >= TROUBLE_AGAIN) {
                    told_at = Some(Instant::now());
                    show.note(&format!("{why}; asking again"));
                }
                continue;
            }
            next = updates.next() => next,
        };
        let Some((lane, update)) = next else { break };
        let (Some(job), Some(exit)) = (jobs.get(lane), exits.get_mut(lane)) else { continue };
        match update {
            Ok(update) => {
                if let Some(state) = end(&update) {
                    *exit = Exit::of(state);
                }
                if let Err(error) = show.update(lane, &update) {
                    return unwritable(&error);
                }
            }
            Err(error) => {
                show.lost(lane);
                say(&format!("{job}: {}", explain(&error)));
            }
        }
    }
    exits.into_iter().fold(Exit::SUCCEEDED, Exit::and)
}

/// The state in which an update shows the job to be over.
fn end(update: &Update) -> Option<State> {
    match update {
        Update::Event(event) => match event.kind() {
            EventType::Succeeded => Some(State::Succeeded),
            EventType::Failed => Some(State::Failed),
            EventType::Cancelled => Some(State::Cancelled),
            _ => None,
        },
        // A job may be over with no event of it left to be shown.
        Update::Job(job) if job.is_over() => Some(job.snapshot().state),
        _ => None,
    }
}

/// An output that nobody reads is no news to anybody.
pub(crate) fn unwritable(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe { Exit::UNREAD } else { Exit::trouble(error) }
}

/// What people can do something about, in their words.
fn explain(error: &Error) -> String {
    match error.problem() {
        Some("unknown-job") => "the server knows no such job, or has forgotten it".to_owned(),
        _ => with_causes(error),
    }
}
