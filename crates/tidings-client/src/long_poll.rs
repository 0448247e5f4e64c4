//! Following a job over long polling.

use http::Uri;
use tidings_core::Cursor;

use crate::{
    follower::Follower,
    http_client::HttpClient,
    pages::{Pace, Polling},
};

/// Follows a job by requests to `url` (its `links.long-poll`) that are held until something is new: its events after
/// `after`, or all of them, to the terminal one.
///
/// After an answer it asks again at once, unless the server says otherwise by `Retry-After`, as one does that shuts
/// down. After an error it asks again after a growing, random pause; so it does after an answer without news that was
/// not held.
///
/// # Errors
///
/// The follower ends with an error where that is not [temporary](crate::Error::is_temporary), or has gone on for longer
/// than configured.
#[must_use]
pub fn follow(client: &HttpClient, url: Uri, after: Option<Cursor>) -> Follower {
    Follower::new(Polling::new(client, url, after, Pace::Hold(client.config().hold)))
}
