//! The program itself, against a server in this process.

mod support;

mod asking;
mod following;
mod running;
mod away;
mod terminal;
