//! `cargo xtask demo`: one real job, followed over every transport at once.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tidings_testkit::broker::Broker;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::Result;
use crate::install::Install;
use crate::workspace::Workspace;

mod api;
mod curl;
mod follow;
mod interrupts;
pub(crate) mod program;
mod progress;
mod queue;
mod server;
mod spoil;
mod table;
mod verdict;

use api::{Api, Job};
use follow::{Told, Watcher};
use interrupts::Interrupts;
use queue::Subscription;
use server::Server;
use spoil::Road;
use verdict::Verdict;

/// How long the job may take: some seconds where the machine has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the end waits for a broker that is being started, to end it too. It takes 3 s where the machine has nothing
/// else to do.
const BROKER_START: Duration = Duration::from_secs(10);
/// The transport that needs a broker.
const AMQP: &str = "amqp";

/// Watch one real job arrive over every transport at once.
///
/// Builds `tidings-server`, starts it on a free port, submits its pipeline `deploy`, and follows that job over all
/// transports at the same time. Then it shows what each of them cost, and compares the events byte for byte as they
/// were read from each one's own connection. The exit code is 0 only if they are the same.
///
/// AMQP takes part where there is a broker: the one that TIDINGS_AMQP_URL names, or a private node of the installed
/// RabbitMQ, which ends with the demo. Where RabbitMQ is missing, root on Debian or Ubuntu gets it installed.
#[derive(Args)]
pub(crate) struct Options {
    /// Go on serving until Ctrl-C, and show what to try with curl.
    #[arg(long)]
    serve: bool,
    /// Leave AMQP out.
    #[arg(long)]
    no_broker: bool,
    /// Never install RabbitMQ.
    #[arg(long)]
    no_install: bool,
    /// Fail if AMQP can't take part.
    #[arg(long, conflicts_with = "no_broker")]
    need_broker: bool,
    /// Change one byte on the way to the follower of this transport: the demo must find it.
    #[arg(long, hide = true, value_name = "TRANSPORT")]
    spoil: Option<String>,
}

/// The demo after the job's end, with all that still runs.
struct Shown {
    /// Before the broker, as fields are dropped in their order: the server ends while its broker is still there.
    server: Server,
    broker: Option<Broker>,
    job: Job,
    is_good: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(async {
        let interrupts = Interrupts::listen()?;
        let shown = tokio::select! {
            shown = show(options, &workspace, &interrupts) => shown?,
            () = interrupts.first() => return Err("interrupted. What the demo had started is ended".into()),
        };
        match shown.is_good {
            true if options.serve => serve(shown, &interrupts).await,
            true => Ok(ExitCode::SUCCESS),
            false => Ok(ExitCode::FAILURE),
        }
    });
    // After an interrupt, a broker may be just about to start, on a thread that can't be interrupted.
    runtime.shutdown_timeout(BROKER_START);
    outcome
}

async fn show(options: &Options, workspace: &Workspace, interrupts: &Interrupts) -> Result<Shown> {
    let program = program::SERVER.build().await?;
    let (broker, subscription) = join_broker(options).await?.unzip();
    let url = broker.as_ref().map(Broker::url);
    let mut server = Server::start(&program, workspace, url.as_deref(), interrupts.clone()).await?;
    println!("tidings-server is listening on {}", server.address());

    let api = Api::new(server.url().clone());
    let (job, told) = tokio::select! {
        followed = follow(options, &api, subscription) => followed?,
        why = server.ended() => return Err(why.into()),
    };
    let verdict = Verdict::of(&told);
    println!("\n{}\n{verdict}", table::render(&told));
    Ok(Shown { server, broker, job, is_good: verdict.is_good() })
}

/// Gets a broker and binds a queue on it, or says how to get one.
async fn join_broker(options: &Options) -> Result<Option<(Broker, Subscription)>> {
    if options.no_broker {
        return Ok(None);
    }
    let install = if options.no_install { Install::Forbidden } else { Install::Allowed };
    match queue::open(install, options.road(AMQP)).await {
        Ok(joined) => Ok(Some(joined)),
        Err(error) if options.need_broker => Err(error),
        Err(error) => {
            println!("going on without AMQP: {error}");
            Ok(None)
        }
    }
}

/// Submits the job, and follows it to its end over all transports that the server mounts.
async fn follow(options: &Options, api: &Api, subscription: Option<Subscription>) -> Result<(Job, Vec<Told>)> {
    let transports = api.transports().await?;
    let job = api.submit().await?;
    println!("job {} runs the pipeline `deploy`\n", job.id);

    let mut subscription = subscription;
    let mut watchers = Vec::new();
    for transport in &transports {
        if transport == AMQP {
            watchers.extend(subscription.take().map(|subscription| Watcher::of_queue(subscription, job.id)));
        } else {
            watchers.push(Watcher::of_url(transport, job.url(transport)?, options.road(transport)).await?);
        }
    }
    for wanted in options.spoil.iter().map(String::as_str).chain(options.need_broker.then_some(AMQP)) {
        if !watchers.iter().any(|watcher| watcher.transport() == wanted) {
            return Err(format!("{wanted} does not take part: the server mounts {}", transports.join(", ")).into());
        }
    }
    Ok((job, follow::all(watchers, Instant::now() + PATIENCE).await?))
}

async fn serve(mut shown: Shown, interrupts: &Interrupts) -> Result<ExitCode> {
    let broker = shown.broker.as_ref().filter(|broker| broker.is_private()).map(Broker::url);
    println!("\n{}", curl::to_try(&shown.server.address(), shown.job.id, broker.as_deref()));
    shown.server.show_log();
    tokio::select! {
        () = interrupts.first() => Ok(ExitCode::SUCCESS),
        why = shown.server.ended() => Err(why.into()),
    }
}

impl Options {
    fn road(&self, transport: &str) -> Road {
        if self.spoil.as_deref() == Some(transport) { Road::Spoilt } else { Road::Straight }
    }
}
