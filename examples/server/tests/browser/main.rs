//! The page and the browser module in a real Chromium, against the real program.
//!
//! Each test has a server and a browser of its own. Pictures of what a test saw go to `target/screenshots`.

#[path = "../support/mod.rs"]
mod support;

mod chromium;
mod session;
mod external;

mod page;
mod log;
mod names;
mod pictures;
mod faults;
mod tabs;
mod command;
