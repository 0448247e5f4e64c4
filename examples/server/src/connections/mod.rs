//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, within limits.
//!
//! Knows nothing of jobs: what is served is any [`tower_service::Service`].

mod activity;
mod connection;
mod first;
mod head;
mod limits;
mod open_files;
mod paced;
mod places;

use std::{convert::Infallible, error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use self::{connection::Connection, places::Places};

pub use self::{limits::Limits, open_files::connections_for_open_files};

/// How long accepting pauses where there is no file or memory left for one more connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `closing` is cancelled, and then until all have ended or [`Limits::closing`] has passed.
///
/// From `closing` on nothing more is accepted; connections that idle are closed, the others after the answer that they
/// wait for. Dropping this future cuts all connections off.
pub async fn serve<S, B>(listener: TcpListener, service: S, limits: Limits, closing: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let most = limits.connections.unwrap_or_else(connections_for_open_files);
    let places = Places::new(most, limits.connections_per_address);
    let limits = Arc::new(limits);
    let tasks = TaskTracker::new();
    let cut_off = CancellationToken::new();
    let _cut_off_at_the_end = cut_off.clone().drop_guard();

    let accepting = async {
        while let Some(room) = places.room().await {
            let (stream, address) = accept(&listener).await;
            let Some(place) = places.take(room, address.ip()) else {
                tracing::debug!(%address, "closed: this address has too many connections");
                continue;
            };
            let connection = Connection::new(Arc::clone(&limits), closing.clone());
            let service = service.clone();
            let cut_off = cut_off.clone();
            tasks.spawn(async move {
                let _ = cut_off.run_until_cancelled(connection.serve(stream, service)).await;
                drop(place);
            });
        }
    };
    closing.run_until_cancelled(accepting).await;
    drop(listener);
    tasks.close();
    if timeout(limits.closing, tasks.wait()).await.is_err() {
        tracing::info!(connections = tasks.len(), "cut off: still busy after shutdown");
        cut_off.cancel();
        tasks.wait().await;
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
