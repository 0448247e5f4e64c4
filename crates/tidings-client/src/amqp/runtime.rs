//! The runtime that lapin is given: tokio's, with connections that count.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::traffic::{Counted, Counters};

/// What lapin's tasks, timers and connections run on.
pub(super) type CountingRuntime = Runtime<RuntimeParts<Tokio, CountingReactor>>;

/// The runtime that the caller is on. Left to itself, lapin would start one of its own.
pub(super) fn counting_runtime(counters: Arc<Counters>) -> CountingRuntime {
    Runtime::new(RuntimeParts::new(Tokio::current(), CountingReactor { inner: Tokio::current(), counters }))
}

#[derive(Clone, Debug)]
pub(super) struct CountingReactor {
    inner: Tokio,
    counters: Arc<Counters>,
}

impl Reactor for CountingReactor {
    type TcpStream = Compat<Counted<TcpStream>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// lapin makes its connections by `tcp_connect_addr`, and so needs no registering.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Self::TcpStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.inner.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.inner.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let counters = Arc::clone(&self.counters);
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Counted::new(stream, counters).compat())
        }
    }
}
