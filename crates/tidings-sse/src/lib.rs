//! Tidings over Server-Sent Events.
