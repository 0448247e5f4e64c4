//! The transport, and the loops that keep it connected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lapin::types::ShortString;
use tidings_core::{Context, Error, ErrorKind, Json, Mount, Notifier};
use tokio::time::Instant;

use crate::{
    Config,
    connection::Broker,
    intake::Intake,
    monitor::{Monitor, Side},
    outlet::{Outlet, Place},
    pauses::Pauses,
    topology::{Topology, binding_key},
};

/// AMQP 0-9-1 as a transport. Cloning it is cheap, and clones count together.
#[derive(Clone, Debug, Default)]
pub struct Amqp {
    config: Config,
    unroutable: Arc<AtomicU64>,
}

impl Amqp {
    /// A relay with these knobs.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, unroutable: Arc::default() }
    }

    /// How many messages the broker has returned since the start, as no queue was bound for them. They count as told.
    #[must_use]
    pub fn unroutable(&self) -> u64 {
        self.unroutable.load(Ordering::Relaxed)
    }
}

impl Notifier for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        let broker = Broker::new(&self.config)
            .map_err(|error| Error::new(ErrorKind::Configuration, format!("amqp: {error}")))?;
        let topology = Topology::new(&self.config)?;
        let sides: &[_] =
            if topology.jobs.is_some() { &[Side::Publishing, Side::Consuming] } else { &[Side::Publishing] };
        let monitor = Arc::new(Monitor::new(cx.feed.clone(), sides, self.unroutable.clone()));
        let outlet = Arc::new(Outlet {
            feed: cx.feed.clone(),
            jobs: cx.jobs.clone(),
            cursors: cx.cursors.clone(),
            shutdown: cx.shutdown.clone(),
            monitor: monitor.clone(),
            broker: broker.clone(),
            topology: topology.clone(),
            window: self.config.window,
        });
        let intake = Arc::new(Intake {
            feed: cx.feed.clone(),
            jobs: cx.jobs.clone(),
            shutdown: cx.shutdown.clone(),
            monitor: monitor.clone(),
            broker,
            topology: topology.clone(),
            prefetch: self.config.prefetch,
            acknowledge_after: Duration::from_secs(self.config.acknowledge_after_seconds.into()),
        });
        let exchange = Json::from_value(&self.config.exchange)
            .map_err(|e| Error::new(ErrorKind::Configuration, "amqp: exchange can't be shown").with_source(e))?;
        let link = format!(r#"{{"exchange":{exchange},"binding_key":"#);
        let info = Json::parse(format!(r#"{{"exchange":{exchange}}}"#).as_bytes()).unwrap_or_else(|_| Json::null());
        let queue = topology.jobs;
        let relay = move || relay(outlet.clone(), intake.clone(), queue.clone());
        Ok(Mount::relay(relay)
            .with_link(move |kind, job| {
                // A kind and an id need no escapes.
                let object = format!("{link}\"{}\"}}", binding_key(kind, job));
                Json::parse(object.as_bytes()).unwrap_or_else(|_| Json::null())
            })
            .with_info(info)
            .with_status(move || monitor.status()))
    }
}

/// Relays both ways until the host has ended and everything is told.
async fn relay(outlet: Arc<Outlet>, intake: Arc<Intake>, queue: Option<ShortString>) -> Result<(), Error> {
    let place = outlet.place().await?;
    let take = async {
        if let Some(queue) = &queue {
            take(&intake, queue).await;
        }
    };
    tokio::join!(publish(&outlet, place), take);
    Ok(())
}

/// Publishes until everything is told after the last job is over, over one connection after the other.
async fn publish(outlet: &Outlet, mut place: Place) {
    let mut pauses = Pauses::up_to(outlet.broker.pause);
    while !outlet.is_done(&place) {
        let begun = Instant::now();
        let Err(fault) = outlet.session(&mut place).await else { return };
        outlet.monitor.lost(Side::Publishing, &fault);
        outlet.pause(&mut pauses, begun.elapsed()).await;
    }
}

/// Takes submissions until the host has ended its jobs. Opens no other connection once the shutdown has begun: the
/// broker gives what was not acknowledged to others.
async fn take(intake: &Intake, queue: &ShortString) {
    let mut pauses = Pauses::up_to(intake.broker.pause);
    while !intake.shutdown.has_begun() {
        let begun = Instant::now();
        let Err(fault) = intake.session(queue).await else { return };
        intake.monitor.lost(Side::Consuming, &fault);
        tokio::select! {
            () = tokio::time::sleep(pauses.after(begun.elapsed())) => {}
            () = intake.shutdown.begun() => {}
        }
    }
}
