//! How many instructions the server takes for what it does most, counted by Valgrind: the same whoever else uses the
//! machine. The kernel's are not among them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::api::Api;
use super::figures::Unit;
use super::load::Load;
use super::reporter::Pace;
use super::server::{Server, Servers};
use super::turns::Turns;
use super::whole::{OPENED, SIZE, open_one};
use crate::Result;

/// Everything is done this often, and then this often more: the difference is free of what is done once.
const TIMES: usize = 100;
const MORE: usize = 200;
/// As many streams have each event, beside one alone: the difference is free of what is done once for an event.
const STREAMS: usize = 100;
/// Where Valgrind writes the counts, in the folder of servers.
const COUNTS: &str = "callgrind.out";

/// Nothing where there is no Valgrind.
pub(super) fn measure(servers: &Servers) -> Result<Turns> {
    let mut turns = Turns::default();
    let mut valgrind = Command::new("valgrind");
    if valgrind.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("   left out: there is no valgrind here");
        return Ok(turns);
    }
    let counts = servers.folder.join(COUNTS);
    let mut option = OsString::from("--callgrind-out-file=");
    option.push(&counts);
    let watched = Servers { wrapper: vec!["valgrind".into(), "--tool=callgrind".into(), option], ..servers.clone() };
    let count_for = |times: usize, what: &dyn Fn(&Server, usize) -> Result<()>| {
        let server = watched.start("instructions", "")?;
        what(&server, times)?;
        drop(server);
        total(&counts)
    };
    let each = |what: &dyn Fn(&Server, usize) -> Result<()>| {
        let (few, many) = (count_for(TIMES, what)?, count_for(TIMES + MORE, what)?);
        Ok::<_, Box<dyn std::error::Error>>((many - few) / MORE as f64)
    };

    let submission = each(&|server, times| Api::connect(server.address())?.open(times).map(drop))?;
    let short_poll = each(&|server, times| {
        let job = open_one(server)?;
        Api::connect(server.address())?.look(&job, times)
    })?;
    let one = each(&|server, times| follow(server, 1, times))?;
    let many = each(&|server, times| follow(server, 1 + STREAMS, times))?;
    turns.add("a submission", Unit::Instructions, submission);
    turns.add("a look at a job", Unit::Instructions, short_poll);
    turns.add("an event that is reported and delivered once", Unit::Instructions, one);
    turns.add("one more delivery of it", Unit::Instructions, (many - one) / STREAMS as f64);
    Ok(turns)
}

/// Reports so many events of a job to so many streams, one by one: however long each takes, all is done for each.
fn follow(server: &Server, streams: usize, events: usize) -> Result<()> {
    let (warm_up, time) = (Duration::ZERO, Duration::ZERO);
    let jobs = vec![open_one(server)?];
    let load = Load { jobs, streams, after: OPENED, size: SIZE, pace: Pace::OneByOne, warm_up, time };
    load.run_events(server, events as u64)
}

/// All that was counted in one run.
fn total(path: &Path) -> Result<f64> {
    let text = fs::read_to_string(path).map_err(|error| format!("valgrind has written no counts: {error}"))?;
    // What is left from one run is none of the next one's.
    fs::remove_file(path)?;
    Ok(parse(&text).ok_or("valgrind has not written how many instructions there were")?)
}

fn parse(text: &str) -> Option<f64> {
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        let text = "version: 1\nevents: Ir\nsummary: 123456789\n\nfn=(1) main\n1 2\n\ntotals: 123456789\n";
        assert_eq!(parse(text), Some(123_456_789.0));
        assert_eq!(parse("events: Ir\n"), None);
    }
}
