//! `tidings follow`: jobs, until they are over.

use std::{collections::HashSet, io};

use futures_util::{StreamExt, stream};
use tidings_client::{Client, Error, EventType, JobId, State, Update};

use crate::{
    arguments::{Follow, Reading, Server},
    exit::{Exit, with_causes},
    show::{Show, say},
};

/// Follows all of them at once.
pub(crate) async fn run(server: Server, options: Follow) -> Exit {
    let mut jobs = options.jobs;
    let mut seen = HashSet::new();
    jobs.retain(|job| seen.insert(*job));
    match server.client() {
        Ok(client) => follow(&client, &jobs, &options.reading).await,
        Err(error) => Exit::refused(&error),
    }
}

/// Follows jobs over one client, and shows what comes.
pub(crate) async fn follow(client: &Client, jobs: &[JobId], reading: &Reading) -> Exit {
    let follows = jobs.iter().enumerate().map(|(lane, job)| {
        let mut follow = client.follow(*job);
        if !reading.transports.is_empty() {
            follow = follow.with_transports(reading.transports.iter().copied());
        }
        follow.map(move |update| (lane, update)).boxed()
    });
    let mut updates = stream::select_all(follows);
    let mut show = Show::new(jobs, reading.json);
    // How each has ended so far: one that has not, was not followed to its end.
    let mut exits = vec![Exit::REFUSED; jobs.len()];
    while let Some((lane, update)) = updates.next().await {
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
