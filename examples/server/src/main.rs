//! Tidings as a server of its own: `tidings-server --help` says how it is run.

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    process::ExitCode,
    sync::Arc,
    thread,
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
    signal::unix::{SignalKind, signal},
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
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = listen(config.listen).map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let address = listener.local_addr()?;

    let pipelines = Pipelines::new(config.pipelines, Launcher::this_program());
    let listing = pipelines.listing();
    let kind: Kind = "pipeline".parse()?;
    let builder = Host::builder()
        .with_log(Arc::new(MemoryLog::new(config.retention)))
        .with_limits(config.limits)
        .with_base(config.base)
        .with_names(names(address, config.hosts))
        .with_worker(kind, Arc::new(pipelines), None);
    let (host, driver) = config.transports.mount(builder).build()?;

    let closing = CancellationToken::new();
    let taken_over = Arc::new(TakenOver::default());
    let front = Front::new(host, listing, Arc::clone(&taken_over));
    let serving = connections::serve(listener, front, config.connections, taken_over, closing.clone());
    let mut serving_task = None;
    // Requests are taken once the driver has taken up what the log holds, for it takes every job that waits by then.
    let signalled = async {
        serving_task = Some(tokio::spawn(serving));
        announce(address);
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("{name}: no new jobs; those that run have their grace");
    };
    driver.run(signalled).await;
    closing.cancel();
    if let Some(serving) = serving_task {
        serving.await?;
    }
    tracing::info!("ended");
    Ok(())
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

/// What `Host` may say: the listening address, and what is configured.
fn names(address: SocketAddr, configured: Vec<String>) -> HostNames {
    if configured.iter().any(|name| name == "*") {
        return HostNames::any();
    }
    let port = address.port();
    let mut names = configured;
    names.push(address.to_string());
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        names.extend(["127.0.0.1", "[::1]", "localhost"].map(|name| format!("{name}:{port}")));
    }
    // Clients leave the scheme's own port out.
    let short: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(":80")).map(str::to_owned).collect();
    names.extend(short);
    HostNames::only(names)
}
