//! The followers: one for each transport, each with connections of its own.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_client::{Config, Event, Follower, HttpClient, JobId, Traffic, Update, Uri, long_poll, short_poll, sse};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::AMQP;
use super::progress::{Board, Lane};
use super::queue::Subscription;
use super::spoil::{self, Road};
use crate::Result;

/// How long a follower goes on without any answer. The server is on the same machine.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What one follower has read of the job.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) transport: String,
    pub(super) events: Vec<Arrival>,
    /// Why it did not come to the job's end.
    pub(super) failure: Option<String>,
    pub(super) traffic: Traffic,
}

/// An event, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) seq: u64,
    pub(super) kind: String,
    /// The bytes that came out of the socket or the queue.
    pub(super) json: Vec<u8>,
    /// From when it was appended, which its own `time` says to the millisecond.
    pub(super) delay: Duration,
}

/// Follows the job over one transport.
pub(super) struct Watcher {
    transport: String,
    source: Source,
}

enum Source {
    Http { follower: Follower, client: Box<HttpClient> },
    Queue { subscription: Box<Subscription>, job: JobId },
}

/// An error that can go from one thread to another.
pub(super) type SharedResult<T> = std::result::Result<T, tidings_client::Error>;

impl Watcher {
    /// Follows over a transport that is spoken over HTTP, with a client that counts for itself.
    pub(super) async fn of_url(transport: &str, url: Uri, road: Road) -> Result<Self> {
        let follow = match transport {
            "short-poll" => short_poll::follow,
            "long-poll" => long_poll::follow,
            "sse" => sse::follow,
            _ => return Err(format!("the demo has no follower for {transport} yet").into()),
        };
        let mut config = Config::default();
        config.give_up_after = Some(GIVE_UP);
        let client = match road {
            Road::Straight => HttpClient::new(config),
            Road::Spoilt => {
                let authority = url.authority().ok_or("the job's link has no host")?;
                let proxy = spoil::proxy(authority.to_string()).await?;
                // Only the connection takes another way: the request still names the server.
                HttpClient::with_dial(config, move |_| TcpStream::connect(proxy))
            }
        };
        let follower = follow(&client, url, None);
        Ok(Self { transport: transport.to_owned(), source: Source::Http { follower, client: Box::new(client) } })
    }

    /// Follows over a queue.
    pub(super) fn of_queue(subscription: Subscription, job: JobId) -> Self {
        Self { transport: AMQP.to_owned(), source: Source::Queue { subscription: Box::new(subscription), job } }
    }

    pub(super) fn transport(&self) -> &str {
        &self.transport
    }

    /// Reads to the job's terminal event, or until something goes wrong.
    async fn run(mut self, mut lane: Lane, deadline: Instant) -> Told {
        let mut events = Vec::<Arrival>::new();
        let failure = loop {
            let Ok(next) = timeout_at(deadline, self.source.next()).await else {
                break Some(format!("time is up: {} events came, and none ended the job", events.len()));
            };
            match next {
                Some(Ok(Update::Event(event))) => {
                    lane.show(&event);
                    events.push(Arrival::now(&event));
                    if event.is_terminal() {
                        break None;
                    }
                }
                Some(Ok(_)) => break Some("it was told that events are no longer kept".to_owned()),
                Some(Err(error)) => break Some(reasons(&error)),
                None => break Some("it ended before the job".to_owned()),
            }
        };
        lane.finish(failure.as_deref());
        Told { transport: self.transport, events, failure, traffic: self.source.traffic() }
    }
}

impl Source {
    async fn next(&mut self) -> Option<SharedResult<Update>> {
        match self {
            Self::Http { follower, .. } => follower.next().await,
            Self::Queue { subscription, job } => Some(subscription.next(*job).await),
        }
    }

    fn traffic(&self) -> Traffic {
        match self {
            Self::Http { client, .. } => client.traffic(),
            Self::Queue { subscription, .. } => subscription.broker.traffic(),
        }
    }
}

impl Arrival {
    fn now(event: &Event) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seq: event.seq(),
            kind: event.kind().to_string(),
            json: event.json().to_vec(),
            delay: now.saturating_sub(Duration::from_millis(event.time().as_millis())),
        }
    }
}

/// Lets them all run at once, and gives what they have read in the same order.
pub(super) async fn all(watchers: Vec<Watcher>, deadline: Instant) -> Result<Vec<Told>> {
    let board = Board::new(watchers.iter().map(Watcher::transport));
    let mut running = JoinSet::new();
    for (place, watcher) in watchers.into_iter().enumerate() {
        let lane = board.lane(watcher.transport());
        running.spawn(async move { (place, watcher.run(lane, deadline).await) });
    }
    let mut told = Vec::new();
    while let Some(done) = running.join_next().await {
        told.push(done?);
    }
    told.sort_by_key(|(place, _)| *place);
    Ok(told.into_iter().map(|(_, told)| told).collect())
}

/// An error with what caused it, and what caused that: each only if the one before has not told it already.
pub(super) fn reasons(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.ends_with(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_is_up_for_one_that_is_told_nothing() {
        let client = HttpClient::with_dial(Config::default(), |_| std::future::pending::<std::io::Result<TcpStream>>());
        let follower = long_poll::follow(&client, Uri::from_static("http://127.0.0.1/"), None);
        let source = Source::Http { follower, client: Box::new(client) };
        let watchers = vec![Watcher { transport: "long-poll".to_owned(), source }];
        let told = all(watchers, Instant::now() + Duration::from_secs(60)).await.unwrap();
        let failures: Vec<_> = told.into_iter().map(|told| told.failure).collect();
        assert_eq!(failures, [Some("time is up: 0 events came, and none ended the job".to_owned())]);
    }

    #[tokio::test]
    async fn an_error_is_told_with_its_causes_once_each() {
        let refuse = |_| async { Err::<TcpStream, _>(std::io::Error::other("nobody is there")) };
        let client = HttpClient::with_dial(Config::default(), refuse);
        let request = http::Request::get("http://127.0.0.1/").body(Default::default()).unwrap();
        let told = reasons(&client.send(request).await.unwrap_err());
        assert!(told.starts_with("no connection to the server at 127.0.0.1: "), "{told}");
        assert_eq!(told.matches("nobody is there").count(), 1, "{told}");
    }
}
