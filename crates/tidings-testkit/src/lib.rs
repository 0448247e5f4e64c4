//! The behaviour that every Tidings transport must show, as tests.
