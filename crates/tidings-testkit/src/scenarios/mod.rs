//! What every transport must show, one file for each of its promises.

pub(crate) mod order;
pub(crate) mod resume;
pub(crate) mod handover;
pub(crate) mod gaps;
pub(crate) mod refusal;
pub(crate) mod ending;
pub(crate) mod unread;
pub(crate) mod framing;
pub(crate) mod shutdown;
pub(crate) mod isolation;
pub(crate) mod parking;
pub(crate) mod deletion;

use std::sync::Arc;

use crate::adapter::Adapter;

/// The transport as a scenario has it.
type Subject = Arc<dyn Adapter>;
