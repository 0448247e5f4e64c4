//! Tidings in a hyper application of one's own: `cargo run --example hyper`, then
//! `curl --json '{"kind":"count"}' http://127.0.0.1:3000/tidings/jobs`.

use std::time::Duration;

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tidings::{Body, Host, Json, Progress};
use tower_service::Service as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (host, driver) = Host::builder()
        .with_base("/tidings")
        .with_job("count".parse()?, |job| async move {
            for done in 1..=10 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                job.progress(Progress::percent(f64::from(done) * 10.0)).await?;
            }
            Ok(Json::null())
        })
        .mount(tidings::short_poll::ShortPoll::default())
        .mount(tidings::long_poll::LongPoll::default())
        .mount(tidings::sse::Sse::default())
        .build()?;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    tokio::select! {
        () = driver.run(ctrl_c) => Ok(()),
        error = serve(listener, host) => Err(error.into()),
    }
}

/// Serves until a connection can't be accepted.
async fn serve(listener: tokio::net::TcpListener, host: Host) -> std::io::Error {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return error,
        };
        let host = host.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut host = host.clone();
            async move {
                match request.uri().path() {
                    "/" => Ok(hyper::Response::new(Body::from("jobs are at /tidings/jobs"))),
                    _ => host.call(request).await,
                }
            }
        });
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}
