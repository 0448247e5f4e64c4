//! Tidings over long polling: holds a request until something is new.
