//! Making connections that count what they carry.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tower_service::Service;

use crate::traffic::{Counted, Counters};

type Dialing<S> = Pin<Box<dyn Future<Output = io::Result<S>> + Send>>;

/// A connector for hyper's client: how to connect, for how long to try, and where to count.
#[derive(Clone)]
pub(crate) struct Dialer {
    dial: Arc<dyn Fn(Uri) -> Dialing<Box<dyn Wire>> + Send + Sync>,
    timeout: Duration,
    counters: Arc<Counters>,
}

/// A connection of any kind.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

impl Dialer {
    pub(crate) fn new<F, Fut, S>(dial: F, timeout: Duration, counters: Arc<Counters>) -> Self
    where
        F: Fn(Uri) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let dial = Arc::new(move |uri| -> Dialing<Box<dyn Wire>> {
            let dialing = dial(uri);
            Box::pin(async move { Ok(Box::new(dialing.await?) as Box<dyn Wire>) })
        });
        Self { dial, timeout, counters }
    }

    pub(crate) fn tcp(timeout: Duration, counters: Arc<Counters>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let dial = move |uri| {
            let connecting = connector.clone().call(uri);
            async { connecting.await.map(TokioIo::into_inner).map_err(io::Error::other) }
        };
        Self::new(dial, timeout, counters)
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Counted<Box<dyn Wire>>>;
    type Error = io::Error;
    type Future = Dialing<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (dialing, limit, counters) = ((self.dial)(uri), self.timeout, Arc::clone(&self.counters));
        Box::pin(async move {
            let wire = timeout(limit, dialing).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(TokioIo::new(Counted::new(wire, counters)))
        })
    }
}

impl Connection for Counted<Box<dyn Wire>> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
