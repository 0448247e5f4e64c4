//! Pictures of each state of the page, for people to look at: in `target/screenshots`.
//!
//! `docs/page.png`, which README.md shows, is `a-deploy-that-runs-wide.png` of there.

use rustix::process::Signal;
use serde_json::json;

use crate::{external::External, session::Session, support::Server};

/// A pipeline that fails.
const PIPELINES: &str = r#"
[[pipelines.nightly.steps]]
name = "fetch"
command = ["sh", "-c", "echo fetching 3 of 3"]
[[pipelines.nightly.steps]]
name = "check"
command = ["sh", "-c", "echo 'error: link 3 is broken' >&2; exit 2"]
"#;
/// By name, width, height and colours.
const LOOKS: [(&str, u32, u32, &str); 3] =
    [("wide", 1280, 800, "light"), ("dark", 1280, 800, "dark"), ("narrow", 390, 844, "light")];

/// Keeps a picture in each look, none of which may be wider than its window.
async fn keep(browser: &Session, name: &str) {
    for (look, width, height, colours) in LOOKS {
        browser.look(width, height, colours).await;
        let frame = "for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame)";
        browser.run_async(frame, json!([])).await;
        browser.screenshot(&format!("{name}-{look}")).await;
        let overhang = "return document.documentElement.scrollWidth - window.innerWidth";
        assert_eq!(browser.run(overhang, json!([])).await, 0, "{name}, {look}");
    }
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn every_state_fits_every_window() {
    let mut server = Server::start(PIPELINES);
    let browser = Session::start().await;
    browser.open(&server.page("/")).await;
    browser.wait_for("!document.querySelector('.empty').hidden && document.querySelector('select')").await;
    keep(&browser, "no-jobs").await;

    let failed = server.submit("nightly");
    server.events(&failed);
    let job = External::open(&server);
    job.report("progress", json!({ "done": 42, "total": 100, "unit": "%", "message": "reading rows" }));
    let cancelled = External::open(&server);
    server.post(&format!("/jobs/{}/cancel", cancelled.id), &json!({}));
    cancelled.report("cancelled", json!({ "reason": "enough" }));
    let unknown = External::open(&server);
    unknown.log(["x".repeat(500).as_str()]);
    browser.wait_for("document.querySelectorAll('.row').length === 4").await;
    browser.wait_for("document.querySelector('.row [data-state=cancelled]')").await;
    keep(&browser, "jobs").await;

    let at = |view: &str, id: &str| server.page(&format!("#/{view}/{id}"));
    browser.open(&at("jobs", &failed)).await;
    browser.wait_for("document.querySelector('.outcome')?.checkVisibility()").await;
    keep(&browser, "a-job-that-failed").await;
    browser.open(&at("jobs", &unknown.id)).await;
    browser.wait_for("document.querySelector('.line')").await;
    keep(&browser, "a-job-of-unknown-length").await;
    browser.open(&at("jobs", "nonsense")).await;
    browser.wait_for("document.querySelector('h1')").await;
    keep(&browser, "no-such-job").await;

    browser.open(&at("race", &job.id)).await;
    browser.wait_for("document.querySelectorAll('.lane').length === 4").await;
    job.log(["one", "two", "three"]);
    job.succeed();
    browser
        .wait_for("[...document.querySelectorAll('.place')].filter((place) => place.textContent).length === 3")
        .await;
    keep(&browser, "a-race").await;
    browser.open(&at("jobs", &job.id)).await;
    browser.wait_for("document.querySelector('.outcome')?.checkVisibility()").await;
    assert_eq!(browser.console().await.iter().filter(|line| !line.contains("404")).count(), 0);

    server.signal(Signal::KILL);
    server.ended();
    browser.wait_for("document.querySelector('.server').dataset.state === 'away'").await;
    keep(&browser, "a-server-that-is-away").await;
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_deploy_is_seen_running_and_done() {
    let server = Server::start("");
    let browser = Session::start().await;
    browser.look(1280, 800, "light").await;
    browser.open(&server.page(&format!("#/jobs/{}", server.submit("deploy")))).await;
    let running = "document.querySelector('.step[aria-current] .step-name')?.textContent === 'test' \
                   && parseInt(document.querySelector('.lines').textContent) > 45";
    browser.wait_for(running).await;
    keep(&browser, "a-deploy-that-runs").await;
    browser.wait_for("document.querySelector('.title .state').dataset.state === 'succeeded'").await;
    let took = "[...document.querySelectorAll('.step .took')].map((took) => took.textContent)";
    let took = browser.run(&format!("return {took}"), json!([])).await;
    let took = took.as_array().expect("times");
    assert!(
        took.len() == 4 && took.iter().all(|took| took.as_str().is_some_and(|took| took.ends_with(" s"))),
        "{took:?}"
    );
    keep(&browser, "a-deploy-that-is-done").await;
    assert_eq!(browser.console().await, [""; 0]);
}
