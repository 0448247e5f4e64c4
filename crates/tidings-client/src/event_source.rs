//! An event-source client for any `text/event-stream`.
//!
//! It does what the HTML Living Standard says of `EventSource` (9.2.2 to 9.2.4) and what browsers do where the standard
//! leaves it open:
//!
//! - A connection that can't be made, breaks, falls silent or ends is made again after the reconnection time, with
//!   `Last-Event-ID`. The stream sets that time by `retry:`. From the second time in a row that a connection brought no
//!   event, a random and growing pause is added.
//! - `204` is the end, any other status but `200` and any other content type an error after which nothing is asked
//!   again.
//! - Redirects are followed; a reconnect begins at the first URL again.
//!
//! Two limits are its own. An event that is too large ends the stream with an error, as it would come again. So does an
//! id with control characters in it, once it has to be sent.

use std::{mem, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use tokio::time::{Instant, sleep};

pub use crate::parser::{Message, Parser, TooLarge};
use crate::{
    answer::{is_content_type, refused},
    backoff::Backoff,
    error::{Error, ErrorKind},
    follower::{Follower, Source},
    http_client::{Body, HttpClient},
};

/// Follows the event stream at `url`, from the event after `last_event_id` where one is given.
///
/// Each [`Message`] carries the id with which to go on after it.
///
/// # Errors
///
/// The follower ends with an error of the kind [`Status`](ErrorKind::Status), [`Malformed`](ErrorKind::Malformed) or
/// [`TooLarge`](ErrorKind::TooLarge), or where it has failed for longer than configured.
#[must_use]
pub fn open(client: &HttpClient, url: Uri, last_event_id: Option<&str>) -> Follower<Message> {
    Follower::new(EventSource::new(client, url, last_event_id))
}

/// A stream of messages over however many connections it takes.
#[derive(Debug)]
pub(crate) struct EventSource {
    client: HttpClient,
    url: Uri,
    parser: Parser,
    connection: Option<Connection>,
    /// How long to wait before the next connection is made.
    pause: Duration,
    backoff: Backoff,
}

/// One answer that is an event stream.
#[derive(Debug)]
pub(crate) struct Connection {
    body: Body,
    /// What has been read and not been parsed.
    input: Bytes,
    /// What was read after that, where somebody wanted to see that there is more.
    ahead: Option<Bytes>,
    since: Instant,
    brought_event: bool,
}

/// What became of a request for the stream, where there was an answer at all.
pub(crate) enum Answer {
    Open(Body),
    Over,
    Refused(Error),
}

impl Source for EventSource {
    type Item = Message;

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        loop {
            if let Some(connection) = &mut self.connection {
                match connection.next(&mut self.parser).await {
                    Ok(message) => return Some(Ok(message)),
                    Err(error) if error.kind() == ErrorKind::TooLarge => return Some(Err(error)),
                    Err(error) => {
                        if let Err(error) = self.disconnected(error) {
                            return Some(Err(error));
                        }
                    }
                }
            }
            sleep(mem::take(&mut self.pause)).await;
            match connect(&self.client, &self.url, self.parser.last_event_id()).await {
                Ok(Answer::Open(body)) => {
                    self.parser.restart();
                    self.connection = Some(Connection::new(body));
                }
                Ok(Answer::Over) => return None,
                Ok(Answer::Refused(error)) => return Some(Err(error)),
                Err(error) => {
                    if let Err(error) = self.disconnected(error) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

impl EventSource {
    pub(crate) fn new(client: &HttpClient, url: Uri, last_event_id: Option<&str>) -> Self {
        let config = client.config();
        Self {
            parser: Parser::new(config.max_event_bytes).with_last_event_id(last_event_id.unwrap_or_default()),
            backoff: Backoff::new(config),
            client: client.clone(),
            url,
            connection: None,
            pause: Duration::ZERO,
        }
    }

    /// Sets the pause before the next connection, or says why there will be none.
    fn disconnected(&mut self, error: Error) -> Result<(), Error> {
        let long_enough = self.client.config().longest_pause;
        let was_of_use = self.connection.take().is_some_and(|connection| connection.was_of_use(long_enough));
        let mut extra = Duration::ZERO;
        if was_of_use {
            self.backoff.succeeded();
        } else {
            let first_failure = !self.backoff.is_failing();
            let pause = self.backoff.failed(error)?;
            if !first_failure {
                extra = pause;
            }
        }
        let reconnection_time = self.parser.retry().unwrap_or(self.client.config().reconnection_time);
        self.pause = reconnection_time.saturating_add(extra);
        Ok(())
    }
}

/// Asks for the stream once, from the event after this one where there is one.
pub(crate) async fn connect(client: &HttpClient, url: &Uri, last_event_id: &str) -> Result<Answer, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !last_event_id.is_empty() {
        let id = HeaderValue::from_bytes(last_event_id.as_bytes())
            .map_err(|error| Error::malformed("the last event id can't be sent").with_source(error))?;
        headers.insert("last-event-id", id);
    }
    let response = client.get(url, &headers, client.config().answer_timeout).await?;
    Ok(match response.status() {
        StatusCode::OK if is_content_type(response.headers(), "text/event-stream") => {
            Answer::Open(response.into_body())
        }
        StatusCode::OK => Answer::Refused(Error::malformed("the answer is no event stream")),
        StatusCode::NO_CONTENT => Answer::Over,
        _ => Answer::Refused(refused(response).await),
    })
}

impl Connection {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, input: Bytes::new(), ahead: None, since: Instant::now(), brought_event: false }
    }

    /// Whether it did its duty: it brought an event or, where nothing happened, stood for so long.
    pub(crate) fn was_of_use(&self, long_enough: Duration) -> bool {
        self.brought_event || self.since.elapsed() > long_enough
    }

    /// Waits until there is something to parse. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        if self.input.is_empty() {
            self.input = match self.ahead.take() {
                Some(chunk) => chunk,
                None => self.chunk().await?,
            };
        }
        Ok(())
    }

    /// Waits until something has come after what there is to parse. Cancel-safe.
    pub(crate) async fn look_ahead(&mut self) -> Result<(), Error> {
        if self.ahead.is_none() {
            self.ahead = Some(self.chunk().await?);
        }
        Ok(())
    }

    async fn chunk(&mut self) -> Result<Bytes, Error> {
        let chunk = self.body.chunk().await;
        chunk.ok_or_else(|| Error::new(ErrorKind::Disconnected, "the stream ended"))?
    }

    /// Whether the stream, of which something has come, is what Tidings sends where it has no room for one: a comment
    /// that says so, and when to come back, which the parser then knows.
    pub(crate) fn has_no_room(&mut self, parser: &mut Parser) -> bool {
        self.input.starts_with(b": overloaded") && matches!(parser.parse(&mut self.input), Ok(None))
    }

    /// The next event. Cancel-safe.
    pub(crate) async fn next(&mut self, parser: &mut Parser) -> Result<Message, Error> {
        loop {
            let message = parser.parse(&mut self.input);
            if let Some(message) = message.map_err(|error| Error::new(ErrorKind::TooLarge, error.to_string()))? {
                self.brought_event = true;
                return Ok(message);
            }
            self.fill().await?;
        }
    }
}
