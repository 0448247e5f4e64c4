//! Follows Tidings jobs over any transport.
