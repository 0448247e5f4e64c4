//! `tidings submit`, `cancel` and `list`: one question each.

use std::io::{self, IsTerminal};

use tidings_client::{Job, ListFilter, Submission};

use crate::{
    arguments::{Cancel, List, Server, Submit},
    exit::{Exit, with_causes},
    follow,
    show::{say, write_json, write_line},
    text, watch,
};

pub(crate) async fn submit(server: Server, options: Submit) -> Exit {
    let input = match options.read_input() {
        Ok(input) => input,
        Err(why) => {
            say(&why);
            return Exit::USAGE;
        }
    };
    let client = match server.client() {
        Ok(client) => client,
        Err(error) => return Exit::refused(&error),
    };
    let mut submission = Submission::new(options.kind).with_input(input);
    if let Some(key) = options.key {
        submission = submission.with_key(key);
    }
    let job = match client.submit(&submission).await {
        Ok(job) => job,
        Err(error) => return Exit::refused(&error),
    };
    if options.follow {
        return follow::follow(&client, &[job.id()], &options.reading).await;
    }
    if io::stderr().is_terminal() {
        say(&format!("watch at {}", watch::address(&client, &job).await));
    }
    let written = if options.reading.json {
        write_json(job.json().as_str())
    } else {
        write_line(job.id().to_string().as_bytes())
    };
    written.map_or_else(|error| follow::unwritable(&error), |()| Exit::SUCCEEDED)
}

pub(crate) async fn cancel(server: Server, options: Cancel) -> Exit {
    let client = match server.client() {
        Ok(client) => client,
        Err(error) => return Exit::refused(&error),
    };
    let mut exit = Exit::SUCCEEDED;
    for job in options.jobs {
        if let Err(error) = client.cancel(job, options.reason.as_deref()).await {
            say(&format!("{job}: {}", with_causes(&error)));
            exit = exit.and(Exit::REFUSED);
        }
    }
    exit
}

pub(crate) async fn list(server: Server, options: List) -> Exit {
    let client = match server.client() {
        Ok(client) => client,
        Err(error) => return Exit::refused(&error),
    };
    let mut filter = ListFilter::new();
    if let Some(state) = options.state {
        filter = filter.with_state(state);
    }
    if let Some(kind) = options.kind {
        filter = filter.with_kind(kind);
    }
    let mut wanted = options.limit as usize;
    let show = if options.json { |job: &Job| write_json(job.json().as_str()) } else { write_row };
    while wanted > 0 {
        // A server may list fewer at once than it is asked for.
        let page = match client.list(&filter.clone().with_limit(options.limit)).await {
            Ok(page) => page,
            Err(error) => return Exit::refused(&error),
        };
        for job in page.jobs.iter().take(wanted) {
            if let Err(error) = show(job) {
                return follow::unwritable(&error);
            }
        }
        wanted = wanted.saturating_sub(page.jobs.len());
        match page.next {
            Some(next) => filter = filter.with_page(next),
            None => break,
        }
    }
    Exit::SUCCEEDED
}

/// A job for people: id, state, how far it is, when it was submitted, kind.
fn write_row(job: &Job) -> io::Result<()> {
    let snapshot = job.snapshot();
    let progress = snapshot.progress.as_ref().and_then(|progress| progress.to::<serde_json::Value>().ok());
    let share = progress.and_then(|progress| Some(progress["done"].as_f64()? / progress["total"].as_f64()?));
    let share = share.filter(|share| share.is_finite()).map(|share| format!("{:.0} %", share * 100.0));
    let (share, created) = (share.unwrap_or_default(), snapshot.created_at);
    let row = format!("{}  {:<9}  {share:>5}  {created}  {}", job.id(), snapshot.state.as_str(), snapshot.kind);
    write_line(text::plain(&row).as_bytes())
}
