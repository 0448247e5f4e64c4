//! Tidings as a server of its own: `tidings-server --help` says how it is run.

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    net::{Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use clap::Parser;
use tidings::{Host, HostNames, Kind, MemoryLog};
use tidings_process::Launcher;
use tidings_server::{
    config::{Arguments, Config},
    connections::{self, TakenOver},
    pipeline::Pipelines,
    service::Front,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// With thousands of jobs and streams it finds room for each event in less time than the system's allocator, and keeps
/// less for each stream.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How many connections may wait to be accepted, where the kernel allows it: when a network comes back, all clients do at
/// once, and whoever finds no room tries again a second later at the earliest.
const BACKLOG: u32 = 4096;

/// A terminal signals all programs in it, and whoever started this one may pass the signal on once more: that is no second
/// wish.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// What is logged where RUST_LOG says nothing. The broker's client calls the end of every connection an error, and the
/// relay says what is worth knowing of them.
const DEFAULT_FILTER: &str = "info,lapin=off";

fn main() -> ExitCode {
    if let Some(code) = tidings_process::supervise_if_asked() {
        return code;
    }
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();
    let served = runtime().and_then(|runtime| runtime.block_on(run(&arguments)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidings-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// With one core to run on there is nothing to share between threads, and sharing costs.
fn runtime() -> Result<Runtime, Box<dyn Error>> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut builder = if cores == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    Ok(builder.enable_all().build()?)
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut config = Config::load(arguments)?;
    config.limits.request_target_bytes = config.connections.request_target_bytes;
    // Before anybody can know that the server is there, so that no signal is missed.
    let mut signals = Signals::new()?;
    let listener = listen(config.listen).map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let address = listener.local_addr()?;

    let grace_seconds = config.limits.grace_seconds;
    if config.hosts.is_empty() && address.ip().is_unspecified() {
        tracing::warn!("requests by other names than localhost get 421: `hosts` in the config is to tell them");
    }

    let pipelines = Pipelines::new(config.pipelines, Launcher::this_program());
    let listing = pipelines.listing();
    let kind: Kind = "pipeline".parse()?;
    let builder = Host::builder()
        .with_log(Arc::new(MemoryLog::new(config.retention)))
        .with_limits(config.limits)
        .with_base(config.base)
        .with_names(names(address, config.hosts).map_or_else(HostNames::any, HostNames::only))
        .with_worker(kind, Arc::new(pipelines), None);
    let (host, driver) = config.transports.mount(builder).build()?;

    let closing = CancellationToken::new();
    let taken_over = Arc::new(TakenOver::default());
    let front = Front::new(host, listing, Arc::clone(&taken_over));
    let serving = connections::serve(listener, front, config.connections, taken_over, closing.clone());
    let ending = CancellationToken::new();
    let in_good_order = async {
        let mut serving_task = None;
        // Requests are taken once the driver has taken up what the log holds, for it takes every job that waits by then.
        let signalled = async {
            serving_task = Some(tokio::spawn(serving));
            announce(address);
            ending.cancelled().await;
        };
        driver.run(signalled).await;
        closing.cancel();
        match serving_task {
            Some(serving) => serving.await,
            None => Ok(()),
        }
    };
    let asked_twice = async {
        let name = signals.next().await;
        tracing::info!("{name}: no new jobs; those that run have {grace_seconds} s. Once more ends them at once");
        ending.cancel();
        tokio::time::sleep(SAME_SIGNAL).await;
        Ok::<_, io::Error>(Signals::new()?.next().await)
    };
    tokio::select! {
        biased;
        ended = in_good_order => ended?,
        again = asked_twice => return Err(format!("{} once more: whatever still ran is cut off", again?).into()),
    }
    tracing::info!("ended");
    Ok(())
}

/// What asks the server to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Those that come from now on.
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the listeners of every server are: a new one need not wait until the connections of the last one are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Tells whoever started the server where it listens. That nobody may be reading is no reason not to serve.
fn announce(address: SocketAddr) {
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
    tracing::info!(%address, "listening");
}

/// What `Host` may say: the listening address, and what is configured, with the port that is listened on too where it has
/// none. Nothing where it may be anything.
fn names(address: SocketAddr, configured: Vec<String>) -> Option<Vec<String>> {
    if configured.iter().any(|name| name == "*") {
        return None;
    }
    let port = address.port();
    let mut names = vec![address.to_string()];
    for name in configured {
        let name = if name.parse::<Ipv6Addr>().is_ok() { format!("[{name}]") } else { name };
        // The colons of an IPv6 address are within brackets.
        if !name.rsplit(']').next().is_some_and(|rest| rest.contains(':')) {
            names.push(format!("{name}:{port}"));
        }
        names.push(name);
    }
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        names.extend(["127.0.0.1", "[::1]", "localhost"].map(|name| format!("{name}:{port}")));
    }
    // Clients leave the scheme's own port out.
    let short: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(":80")).map(str::to_owned).collect();
    names.extend(short);
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(listen: &str, configured: &[&str]) -> Option<Vec<String>> {
        names(listen.parse().expect("an address"), configured.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_name_without_a_port_goes_with_none_and_with_the_one_that_is_listened_on() {
        let names = names_of("192.0.2.1:7330", &["a", "b:1", "2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:1"]);
        let expected = [
            "192.0.2.1:7330",
            "a:7330",
            "a",
            "b:1",
            "[2001:db8::1]:7330",
            "[2001:db8::1]",
            "[2001:db8::2]:7330",
            "[2001:db8::2]",
            "[2001:db8::3]:1",
        ];
        assert_eq!(names.expect("they are known"), expected);
    }

    #[test]
    fn the_schemes_own_port_may_be_left_out() {
        let names = names_of("127.0.0.1:80", &[]).expect("they are known");
        for name in ["127.0.0.1", "127.0.0.1:80", "localhost", "[::1]"] {
            assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any() {
        assert_eq!(names_of("127.0.0.1:7330", &["a", "*"]), None);
    }
}
