//! Following a job over Server-Sent Events.

use http::Uri;
use tidings_core::Cursor;

use crate::{
    error::Error,
    event_source::{EventSource, Message},
    follower::{Follower, Source},
    http_client::HttpClient,
    update::{Gap, Run, Update, parse_event},
};

/// Follows a job over the event stream at `url` (its `links.sse`): its events after `after`, or all of them, to the
/// terminal one.
///
/// It reconnects as [`event_source`](crate::event_source) says; a stream that ends before the terminal event is a
/// pause.
#[must_use]
pub fn follow(client: &HttpClient, url: Uri, after: Option<Cursor>) -> Follower {
    let id = after.map(|cursor| cursor.to_string());
    let source = EventSource::new(client, url, id.as_deref());
    Follower::new(Sse { source, run: Run::new(after), is_over: false })
}

#[derive(Debug)]
struct Sse {
    source: EventSource,
    run: Run,
    is_over: bool,
}

impl Source for Sse {
    type Item = Update;

    async fn next(&mut self) -> Option<Result<Update, Error>> {
        while !self.is_over {
            let update = match self.source.next().await? {
                Ok(message) => parse(message).and_then(|update| self.run.admit(update)),
                Err(error) => Err(error),
            };
            if let Ok(Some(update)) = &update {
                self.is_over = update.is_last();
            }
            if let Some(update) = update.transpose() {
                return Some(update);
            }
        }
        None
    }
}

/// What a message of a job's stream tells.
pub(crate) fn parse(message: Message) -> Result<Update, Error> {
    if message.event == "gap" {
        return Gap::parse(message.data.as_bytes()).map(Update::Gap);
    }
    parse_event(message.data.into()).map(Update::Event)
}
