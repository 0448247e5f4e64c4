//! Following a job over short polling.

use http::Uri;
use tidings_core::Cursor;

use crate::{
    follower::Follower,
    http_client::HttpClient,
    pages::{Pace, Polling},
};

/// Follows a job by asking `url` (its `links.short-poll`) from time to time: its events after `after`, or all of them,
/// to the terminal one.
///
/// The server says by `Retry-After` when to ask again; where it does not, the configured interval passes. A page that
/// is full is followed by the next one at once. Where nothing is new the server answers `304` and no body. After an
/// error it asks again after a growing, random pause.
///
/// # Errors
///
/// The follower ends with an error where that is not [temporary](crate::Error::is_temporary), or has gone on for longer
/// than configured.
#[must_use]
pub fn follow(client: &HttpClient, url: Uri, after: Option<Cursor>) -> Follower {
    Follower::new(Polling::new(client, url, after, Pace::Now))
}
