//! Many tabs of one page, over HTTP/1.1, where a browser opens six connections and no more.

use serde_json::json;
use tidings_testkit::proxy::Proxy;

use crate::{external::External, session::Session, support::Server};

const TABS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a browser: cargo xtask test"]
async fn twelve_tabs_share_two_streams_and_the_twelfth_is_live() {
    let server = Server::start("hosts = [\"*\"]");
    // It changes nothing, and counts.
    let proxy = Proxy::start(server.address).await.expect("a port");
    let browser = Session::start().await;
    let page = |part: &str| format!("http://{}/{part}", proxy.address());

    // Each tab has a job of its own, but for the first one, which has the list of all.
    let jobs: Vec<_> = (1..TABS).map(|_| External::open(&server)).collect();
    browser.open(&page("")).await;
    browser.wait_for("document.querySelectorAll('.row').length === 11").await;
    for job in &jobs {
        browser.new_tab().await;
        browser.open(&page(&format!("#/jobs/{}", job.id))).await;
        browser.wait_for("document.querySelector('[data-part=events]')?.textContent === '2'").await;
    }
    let last = jobs.last().expect("there are jobs");
    for number in 1..=3 {
        last.count([number]);
        browser
            .wait_for(&format!("document.querySelector('.line:last-child .text')?.textContent === 'line {number}'"))
            .await;
    }
    assert!(proxy.streams() >= 1, "nothing is streamed");
    assert!(proxy.most_streams() <= 2, "{} streams at once", proxy.most_streams());
    last.succeed();
    browser.wait_for("document.querySelector('.title .state').dataset.state === 'succeeded'").await;
    assert_eq!(browser.console().await, [""; 0]);
    assert_eq!(
        browser.run("return document.querySelector('[data-part=transport]').textContent", json!([])).await,
        "sse"
    );
}
