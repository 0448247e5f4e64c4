//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, within limits.
//!
//! Knows nothing of jobs but that some requests report what has happened to them: it serves whatever [replies](Serve) to
//! requests, and takes connections over from hyper whose answers are waited for, or whose requests are many and alike.

mod activity;
mod connection;
mod first;
mod head;
mod limits;
mod open_files;
mod paced;
mod places;
mod taken;
mod unsent;
mod whole;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use tidings::{Body, Reply, Reporting};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    connection::{Connection, Shared},
    places::Places,
};

pub use self::{limits::Limits, open_files::connections_for_open_files, taken::TakenOver};

/// How long accepting pauses where there is no file or memory left for one more connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served: as a [`tower_service::Service`] that is always ready and never fails, but a reply may also be one that
/// is waited for, for which the connection is not needed meanwhile.
pub trait Serve: Send + Sync + 'static {
    /// Replies to a request whose head is enough, with what is at hand; `None` where [`reply`](Self::reply) is to be asked,
    /// which knows an answer to this one too.
    fn reply_now<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let _ = request;
        None
    }

    /// Begins with a request that is a report of events; `None` where [`reply`](Self::reply) is to be asked, which knows what
    /// to do with this one too.
    fn take_report<B>(&self, request: &Request<B>) -> Option<Reporting> {
        let _ = request;
        None
    }

    /// Replies to a request. Dropping the future ends the request. One that gets something (`GET`) may be asked twice.
    fn reply(&self, request: Request<Body>) -> impl Future<Output = Reply> + Send;
}

/// Serves connections until `closing` is cancelled, and then until all have ended or [`Limits::closing`] has passed.
///
/// From `closing` on nothing more is accepted; connections that idle are closed, the others after the answer that they
/// wait for. Dropping this future cuts all connections off.
pub async fn serve(
    listener: TcpListener,
    service: impl Serve,
    limits: Limits,
    taken_over: Arc<TakenOver>,
    closing: CancellationToken,
) {
    let most = limits.connections.unwrap_or_else(connections_for_open_files);
    let places = Places::new(most, limits.connections_per_address);
    let (ends_in, end) = (limits.closing, closing.clone());
    let shared = Arc::new(Shared { service, limits, taken_over, closing });
    // Connections are aborted when this is dropped.
    let mut tasks = JoinSet::new();

    let accepting = async {
        loop {
            tokio::select! {
                connection = next_connection(&listener, &places, &shared) => {
                    tasks.spawn(connection);
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    };
    end.run_until_cancelled(accepting).await;
    drop(listener);
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    if timeout(ends_in, all_ended).await.is_err() {
        tracing::info!(connections = tasks.len(), "cut off: still busy after shutdown");
        tasks.shutdown().await;
    }
}

/// The next connection for which there is a place. Cancel safe.
async fn next_connection<S: Serve>(listener: &TcpListener, places: &Places, shared: &Arc<Shared<S>>) -> Connection<S> {
    loop {
        let room = places.room().await;
        let (stream, address) = accept(listener).await;
        match places.take(room, address.ip()) {
            Some(place) => return Connection::new(shared, stream, place),
            None => tracing::debug!(%address, "closed: this address has too many connections"),
        }
    }
}

/// The next connection. An error that concerns one connection is its own; where the process has run out of something,
/// it is waited for.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
