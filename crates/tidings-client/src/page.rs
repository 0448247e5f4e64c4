//! The body that short and long polling share.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::{Cursor, Event, Json};

use crate::{
    error::Error,
    update::{Gap, parse_event},
};

/// An answer of short or long polling: some of a job's events, and where to go on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The job's snapshot as JSON, read together with the events.
    pub job: Json,
    /// The events after the cursor that was sent, oldest first.
    pub events: Vec<Event>,
    /// What to send as `after` next time.
    pub cursor: Cursor,
    /// Whether there are more events than fit into the page.
    pub more: bool,
    /// Whether the job is over and all of its events are in this page or were before it.
    pub done: bool,
    /// Where events after the cursor that was sent were no longer kept.
    pub gap: Option<Gap>,
}

impl Page {
    /// Reads the body of an answer. The events share its bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) where it is no such body.
    pub fn parse(body: &Bytes) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            job: Json,
            #[serde(borrow)]
            events: Vec<&'a RawValue>,
            cursor: &'a str,
            more: bool,
            done: bool,
            gap: Option<Dropped>,
        }
        #[derive(Deserialize)]
        struct Dropped {
            requested: u64,
            resumed_at: u64,
        }
        let malformed = || Error::malformed("the answer is no page of events");
        let wire: Wire<'_> = serde_json::from_slice(body).map_err(|error| malformed().with_source(error))?;
        let event = |raw: &RawValue| parse_event(body.slice_ref(raw.get().as_bytes()));
        let gap = |Dropped { requested, resumed_at }| Gap { requested, resumed_at, job: wire.job.clone() };
        Ok(Self {
            events: wire.events.into_iter().map(event).collect::<Result<_, _>>()?,
            cursor: wire.cursor.parse().map_err(|error| malformed().with_source(error))?,
            more: wire.more,
            done: wire.done,
            gap: wire.gap.map(gap),
            job: wire.job,
        })
    }
}
