//! Reading over one transport: each as it is asked, once, so that what to do about trouble is decided elsewhere.

use std::time::Duration;

use http::Uri;
use tidings_core::Cursor;
use tokio::time::timeout;

use super::ladder::Rung;
use crate::{
    error::{Error, ErrorKind},
    event_source::{Answer, Connection, Parser, connect},
    http_client::HttpClient,
    pages::{Pace, Pages},
    sse,
    transport::Transport,
    update::Turn,
};

/// Reads a job over one transport.
pub(super) struct Reader {
    pub(super) transport: Transport,
    way: Way,
}

enum Way {
    Stream(Box<Stream>),
    Pages(Box<Pages>),
}

/// What went wrong, and what that says about the transport.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: Error,
    pub(super) effect: Effect,
}

/// What trouble says about a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was of use, and may be again at once.
    Interrupted,
    /// It does not get through, or there is no room on it.
    Dead,
    /// Nothing beyond the error.
    Unclear,
}

impl Reader {
    /// Reads on after a cursor, or from the first event. Nothing happens before it is asked for something.
    pub(super) fn new(client: &HttpClient, rung: &Rung, after: Option<Cursor>, silence: Duration) -> Self {
        let Rung { transport, url } = rung.clone();
        let pages = |pace| Way::Pages(Box::new(Pages::new(client, url.clone(), after, pace).on_trial()));
        let way = match transport {
            Transport::Sse => Way::Stream(Box::new(Stream::new(client, url, after, silence))),
            Transport::LongPoll => pages(Pace::Hold(client.config().hold)),
            Transport::ShortPoll => pages(Pace::Now),
        };
        Self { transport, way }
    }

    /// What comes next. With a stream, that it has begun is the first thing to come, and has no updates in it.
    ///
    /// After trouble it may be called again, and goes on where it was.
    pub(super) async fn next(&mut self) -> Result<Turn, Trouble> {
        match &mut self.way {
            Way::Stream(stream) => stream.next().await,
            Way::Pages(pages) => pages.next().await.map_err(|error| {
                let effect = match error.kind() {
                    ErrorKind::Timeout => Effect::Dead,
                    _ if pages.was_halved() => Effect::Interrupted,
                    _ => Effect::Unclear,
                };
                Trouble { error, effect }
            }),
        }
    }

    /// What comes first, as soon as it is clear that more can follow. Some proxies let the head of a stream through, and
    /// its first bytes, and hold back the rest: so a stream has to bring something after these, its next heartbeat at the
    /// latest. Others swallow requests that are held: so a long poll has to be
    /// answered once that was.
    pub(super) async fn prove(&mut self) -> Result<Turn, Trouble> {
        let mut turn = self.next().await?;
        match &mut self.way {
            _ if turn.is_over => {}
            Way::Stream(stream) => stream.look_ahead().await?,
            Way::Pages(_) if self.transport == Transport::LongPoll => turn.append(self.next().await?),
            Way::Pages(_) => {}
        }
        Ok(turn)
    }
}

/// A job's event stream, one connection after another.
struct Stream {
    client: HttpClient,
    url: Uri,
    parser: Parser,
    connection: Option<Connection>,
    /// How long a connection may be silent.
    silence: Duration,
}

impl Stream {
    fn new(client: &HttpClient, url: Uri, after: Option<Cursor>, silence: Duration) -> Self {
        let id = after.map(|cursor| cursor.to_string()).unwrap_or_default();
        let parser = Parser::new(client.config().max_event_bytes).with_last_event_id(id);
        Self { client: client.clone(), url, parser, connection: None, silence }
    }

    async fn next(&mut self) -> Result<Turn, Trouble> {
        let Some(connection) = &mut self.connection else { return self.connect().await };
        let update =
            connection.next(&mut self.parser).await.and_then(sse::parse).map_err(|error| self.broken(error))?;
        let cursor = self.parser.last_event_id().parse().ok();
        Ok(Turn { updates: vec![update], cursor, is_over: false })
    }

    async fn look_ahead(&mut self) -> Result<(), Trouble> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.look_ahead().await.map_err(|error| self.broken(error))
    }

    /// Asks for the stream and waits for its first byte, which comes with the head unless something holds it back.
    async fn connect(&mut self) -> Result<Turn, Trouble> {
        let limit = self.client.config().first_byte_timeout;
        let opening = async {
            match connect(&self.client, &self.url, self.parser.last_event_id()).await? {
                Answer::Open(body) => {
                    let mut connection = Connection::new(body.with_idle_timeout(self.silence));
                    connection.fill().await?;
                    Ok(Some(connection))
                }
                Answer::Over => Ok(None),
                Answer::Refused(error) => Err(error),
            }
        };
        match timeout(limit, opening).await {
            Ok(Ok(Some(mut connection))) => {
                self.parser.restart();
                if connection.has_no_room(&mut self.parser) {
                    let error = Error::new(ErrorKind::Disconnected, "the server has no room for one more stream");
                    return Err(Trouble { error: error.with_retry_after(self.parser.retry()), effect: Effect::Dead });
                }
                self.connection = Some(connection);
                Ok(Turn::default())
            }
            Ok(Ok(None)) => Ok(Turn { is_over: true, ..Turn::default() }),
            Ok(Err(error)) => Err(Trouble { error, effect: Effect::Unclear }),
            Err(_) => {
                let error = Error::new(ErrorKind::Timeout, "not one byte of the stream came in time");
                Err(Trouble { error, effect: Effect::Dead })
            }
        }
    }

    fn broken(&mut self, error: Error) -> Trouble {
        let long_enough = self.client.config().longest_pause;
        let was_of_use = self.connection.take().is_some_and(|connection| connection.was_of_use(long_enough));
        let effect = match error.kind() {
            ErrorKind::Timeout => Effect::Dead,
            ErrorKind::Disconnected if was_of_use => Effect::Interrupted,
            _ => Effect::Unclear,
        };
        Trouble { error: error.with_retry_after(self.parser.retry()), effect }
    }
}
