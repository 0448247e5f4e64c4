//! Reporting a job that runs somewhere else than in the server.

use std::{collections::VecDeque, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde::Deserialize;
use tidings_core::{Cursor, Draft};

use crate::{client::Client, error::Error};

/// Events go out in bodies of at most about so many bytes, well below the megabyte that a server takes by default.
const BODY_BYTES: usize = 256 * 1024;

/// And at most so many of them.
const BATCH: usize = 1000;

/// Tells a server what happens to a job that runs here.
///
/// It counts what it reports, so that no event is lost or there twice, however often a request has to be sent. What was
/// handed to [`report`](Self::report) and is not in the server's log yet is kept, and goes before what comes next.
pub struct Reporter {
    client: Client,
    href: Uri,
    authorization: HeaderValue,
    lease: Duration,
    /// How many events the server has taken.
    taken: u64,
    pending: VecDeque<Draft>,
    /// How many events go into one body.
    batch: usize,
}

/// What a server said to a report.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Reported {
    /// The place in the job after the last event that was reported.
    pub cursor: Cursor,
    /// How many events of this reporter the server has taken.
    pub received: u64,
    /// Whether somebody has asked for the job to be cancelled.
    pub cancel_requested: bool,
}

impl Reporter {
    pub(crate) fn new(client: Client, href: Uri, token: &str, lease: Duration) -> Result<Self, Error> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|error| Error::malformed("the token can't be sent").with_source(error))?;
        authorization.set_sensitive(true);
        Ok(Self { client, href, authorization, lease, taken: 0, pending: VecDeque::new(), batch: BATCH })
    }

    /// How long it may be silent at most before the job is taken for lost. Reporting nothing is enough to be heard.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How many events are kept that the server has not taken yet, as far as is known.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Reports events, after those that are pending, and comes back once they are in the log. No event at all renews
    /// the lease.
    ///
    /// # Errors
    ///
    /// Where the server did not take them within [`Config::retry_for`](crate::Config::retry_for), they stay pending: call
    /// it again, with nothing or with more. An event that the server will never take (`invalid-input`,
    /// `payload-too-large`) is dropped, and what is pending after it stays; where it takes none at all any more, as once
    /// the job is over (`already-finished`), all are dropped.
    ///
    /// # Cancellation
    ///
    /// Safe: what the server has not taken yet stays pending.
    pub async fn report(&mut self, events: impl IntoIterator<Item = Draft>) -> Result<Reported, Error> {
        self.pending.extend(events);
        loop {
            let (request, count) = self.next_request();
            let answer = match self.client.ask(&request, StatusCode::OK).await {
                Ok(answer) => Reported::parse(answer.body())?,
                Err(error) if error.is_temporary() => return Err(error),
                Err(error) if is_about_the_body(&error) && count > 1 => {
                    // A body is taken whole or not at all: find out which of its events it is.
                    self.batch = 1;
                    continue;
                }
                Err(error) => {
                    let dropped = if is_about_the_body(&error) { count } else { self.pending.len() };
                    self.pending.drain(..dropped);
                    return Err(error);
                }
            };
            if answer.received < self.taken + count as u64 {
                return Err(Error::malformed("the server has taken fewer events than it was sent"));
            }
            self.pending.drain(..count);
            self.taken = answer.received;
            self.batch = BATCH.min(self.batch * 2);
            if self.pending.is_empty() {
                return Ok(answer);
            }
        }
    }

    /// A request with as many of the pending events as go into one body, and how many these are.
    fn next_request(&self) -> (Request<Full<Bytes>>, usize) {
        let (mut body, mut count) = (String::from("["), 0);
        for draft in self.pending.iter().take(self.batch) {
            if count > 0 {
                if body.len() + draft.size() > BODY_BYTES {
                    break;
                }
                body.push(',');
            }
            body.push_str(&format!(r#"{{"type":"{}","data":{}}}"#, draft.kind(), draft.data()));
            count += 1;
        }
        body.push(']');
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.href.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        headers.insert("report-seq", HeaderValue::from(self.taken + 1));
        (request, count)
    }
}

/// Whether another body might be taken.
fn is_about_the_body(error: &Error) -> bool {
    error.status().is_some_and(|status| matches!(status.as_u16(), 400 | 413 | 422))
}

impl Reported {
    fn parse(body: &Bytes) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            cursor: &'a str,
            received: u64,
            cancel_requested: bool,
        }
        let malformed = || Error::malformed("the answer says nothing of what was reported");
        let wire: Wire<'_> = serde_json::from_slice(body).map_err(|error| malformed().with_source(error))?;
        Ok(Self {
            cursor: wire.cursor.parse().map_err(|error| malformed().with_source(error))?,
            received: wire.received,
            cancel_requested: wire.cancel_requested,
        })
    }
}

/// Without the token.
impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("href", &self.href)
            .field("lease", &self.lease)
            .field("taken", &self.taken)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
