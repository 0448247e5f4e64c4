//! Tidings over short polling: answers at once with what is new.
