//! Every knob, and what it is set to by default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a client and the followers that use it behave. In configuration files, times are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Which HTTP is spoken; by default HTTP/1.1.
    pub protocol: Protocol,
    /// How long it may take to make a connection: 10 s.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// How long it may take from a request to the head of its answer, beyond the time that the request asks to be held:
    /// 30 s.
    #[serde(with = "seconds")]
    pub answer_timeout: Duration,
    /// How long a body may be silent before its connection is taken for dead: 45 s, three of the heartbeats that a
    /// Tidings server sends.
    #[serde(with = "seconds")]
    pub idle_timeout: Duration,
    /// The largest answer that is read into memory: 16 MiB.
    pub max_answer_bytes: usize,
    /// The largest event that a stream may bring: 4 MiB. A gap's event holds a snapshot, and with it the job's input
    /// and result.
    pub max_event_bytes: usize,
    /// How long a long poll asks to be held: 25 s. A server may answer sooner. Whole seconds; a part of one is cut off.
    #[serde(with = "seconds")]
    pub hold: Duration,
    /// How long a short poll waits where the server does not say when to ask again: 1 s.
    #[serde(with = "seconds")]
    pub interval: Duration,
    /// How long an event stream waits before it reconnects, until the stream says otherwise: 3 s, as in Chromium.
    #[serde(with = "seconds")]
    pub reconnection_time: Duration,
    /// The shortest pause after a failure: 1 s. It doubles from failure to failure.
    #[serde(with = "seconds")]
    pub first_pause: Duration,
    /// The longest pause after a failure, unless the server asks for a longer one: 30 s.
    #[serde(with = "seconds")]
    pub longest_pause: Duration,
    /// How many messages a broker may send ahead of the answers to them: 256.
    pub prefetch: u16,
    /// How long a [`Client`](crate::Client) tries a request again that failed and may succeed yet: 30 s. Where the server
    /// asks to be left alone for longer, it is left alone.
    #[serde(with = "seconds")]
    pub retry_for: Duration,
    /// How long a [`Follow`](crate::Follow) waits for the first byte of an event stream, from the request for it, before
    /// it takes the way to it for one that holds streams back: 5 s. A heartbeat may be late by as much, and so may a page,
    /// beyond the time that it is held, while there is another transport to go on with.
    #[serde(with = "seconds")]
    pub first_byte_timeout: Duration,
    /// How long a [`Follow`](crate::Follow) reads over a transport that is not its first choice before it tries a
    /// better one again: 25 s.
    #[serde(with = "seconds")]
    pub climb_interval: Duration,
    /// How long a follower may go on failing without any success in between before it gives up: never, by default.
    #[serde(with = "optional_seconds")]
    pub give_up_after: Option<Duration>,
}

/// Which version of HTTP a client speaks. It is known beforehand, as there is no TLS in which to agree on one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1, with a connection for every request that is under way.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, all requests to one server on one connection.
    Http2,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocol: Protocol::Http1,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(45),
            max_answer_bytes: 16 * 1024 * 1024,
            max_event_bytes: 4 * 1024 * 1024,
            hold: Duration::from_secs(25),
            interval: Duration::from_secs(1),
            reconnection_time: Duration::from_secs(3),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            prefetch: 256,
            retry_for: Duration::from_secs(30),
            first_byte_timeout: Duration::from_secs(5),
            climb_interval: Duration::from_secs(25),
            give_up_after: None,
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

mod optional_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds.map(Duration::try_from_secs_f64).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_and_what_is_left_out_is_the_default() {
        let config: Config = serde_json::from_str(r#"{"hold":5,"give_up_after":0.5}"#).expect("a configuration");
        assert_eq!((config.hold, config.give_up_after), (Duration::from_secs(5), Some(Duration::from_millis(500))));
        assert_eq!(config.interval, Config::default().interval);
        let text = serde_json::to_string(&config).expect("it can be written");
        assert_eq!(serde_json::from_str::<Config>(&text).expect("and read"), config);
        for bad in [r#"{"hold":-1}"#, r#"{"give_up_after":1e99}"#, r#"{"holt":1}"#] {
            assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
