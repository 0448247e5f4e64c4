//! The transports that a job can be followed over with nothing but HTTP.

use std::{fmt, str::FromStr};

use crate::error::{Error, ErrorKind};

/// A way to read a job's events over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Server-Sent Events: one answer that goes on as long as the job.
    Sse,
    /// Requests that are held until something is new.
    LongPoll,
    /// Requests from time to time.
    ShortPoll,
}

impl Transport {
    /// All of them, the best first: the order in which they are tried unless the caller has another one.
    pub const ALL: [Self; 3] = [Self::Sse, Self::LongPoll, Self::ShortPoll];

    /// Its name in URLs and in a job's links.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::LongPoll => "long-poll",
            Self::ShortPoll => "short-poll",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Transport {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|transport| transport.name() == text);
        known.ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("{text:?} is no transport that can be followed"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for transport in Transport::ALL {
            assert_eq!(transport.to_string().parse::<Transport>().expect("a transport"), transport);
        }
        assert_eq!("amqp".parse::<Transport>().expect_err("it is not HTTP").kind(), ErrorKind::InvalidInput);
    }
}
