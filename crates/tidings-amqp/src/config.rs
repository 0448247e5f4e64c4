//! The knobs of the relay.

use serde::Deserialize;

use crate::BrokerUrl;

/// The knobs of the relay and of the queue of submissions.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where the broker is. `amqp://localhost:5672/%2f` by default, as `guest`.
    pub url: BrokerUrl,
    /// The durable topic exchange that events are published to. `tidings.events` by default.
    pub exchange: String,
    /// The durable quorum queue that submissions are taken from. All that take from one queue must run the same kinds
    /// of jobs. Empty: none are taken. `tidings.jobs` by default.
    pub jobs_queue: String,
    /// The exchange and the queue for submissions that can't be taken, both under this name. `tidings.jobs.dead` by
    /// default.
    pub dead_letters: String,
    /// How often a submission may be handed back before it goes to the dead letters. The broker holds this against
    /// queues that are there already: delete the queue to change it. 20 by default.
    pub delivery_limit: u16,
    /// Events that are published and not yet confirmed, at most. 256 by default.
    pub window: usize,
    /// Submissions that are taken and not yet acknowledged, at most: with the log in memory, jobs that came from the
    /// queue and are not over. 64 by default.
    pub prefetch: u16,
    /// Seconds between heartbeats; a broker that is silent for twice as long is taken for gone. A `heartbeat` in the
    /// URL comes before this. 10 by default.
    pub heartbeat_seconds: u16,
    /// Seconds that the broker may take to accept a connection. 10 by default.
    pub connect_seconds: u16,
    /// Seconds that the broker may take for anything else: to confirm an event, to declare a queue. 30 by default.
    pub answer_seconds: u16,
    /// Seconds between two tries to reach a broker that is away, or to have an event taken that a full queue has
    /// refused, at most. 10 by default.
    pub pause_seconds: u16,
    /// Seconds after which a submission is acknowledged though its job still runs, as the broker takes it back after 30
    /// minutes. From then on a crash loses the job. One for which there was no room by then is handed back. 1,500 by
    /// default.
    pub acknowledge_after_seconds: u32,
}

impl Config {
    /// Goes to this broker.
    #[must_use]
    pub fn with_url(self, url: impl Into<BrokerUrl>) -> Self {
        Self { url: url.into(), ..self }
    }

    /// Publishes events to this exchange.
    #[must_use]
    pub fn with_exchange(self, exchange: impl Into<String>) -> Self {
        Self { exchange: exchange.into(), ..self }
    }

    /// Takes submissions from this queue; from none where it is empty.
    #[must_use]
    pub fn with_jobs_queue(self, jobs_queue: impl Into<String>) -> Self {
        Self { jobs_queue: jobs_queue.into(), ..self }
    }

    /// Puts submissions that can't be taken there.
    #[must_use]
    pub fn with_dead_letters(self, dead_letters: impl Into<String>) -> Self {
        Self { dead_letters: dead_letters.into(), ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: BrokerUrl::default(),
            exchange: "tidings.events".to_owned(),
            jobs_queue: "tidings.jobs".to_owned(),
            dead_letters: "tidings.jobs.dead".to_owned(),
            delivery_limit: 20,
            window: 256,
            prefetch: 64,
            heartbeat_seconds: 10,
            connect_seconds: 10,
            answer_seconds: 30,
            pause_seconds: 10,
            acknowledge_after_seconds: 25 * 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_shows_no_password_even_where_it_is_wrong() {
        let read: Config = serde_json::from_str(r#"{"url": "amqps://u:s3cret@h", "window": 5}"#).expect("a config");
        assert_eq!((read.window, read.prefetch), (5, 64));
        assert!(!format!("{read:?}").contains("s3cret"));
        assert!(serde_json::from_str::<Config>(r#"{"urls": "x"}"#).is_err());
    }
}
