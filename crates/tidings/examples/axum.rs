//! Tidings beside the routes of an axum application: `cargo run --example axum`, then
//! `curl --json '{"kind":"count"}' http://127.0.0.1:3000/tidings/jobs`.

use std::time::Duration;

use axum::{Router, routing::get};
use tidings::{Host, Json, Progress};

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
    let app = Router::new().route("/", get(|| async { "jobs are at /tidings/jobs" })).nest_service("/tidings", host);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    // The server goes on until the driver has come to its end: who waits is still told how the jobs ended.
    tokio::select! {
        () = driver.run(ctrl_c) => {}
        served = async { axum::serve(listener, app).await } => served?,
    }
    Ok(())
}
