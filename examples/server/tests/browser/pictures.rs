//! Pictures of each state of the page, for people to look at: in `target/screenshots`.
