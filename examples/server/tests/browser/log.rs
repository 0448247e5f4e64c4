//! A log of 100,000 lines.

use serde_json::json;

use crate::{
    external::External,
    session::{Session, key},
    support::Server,
};

const LINES: usize = 100_000;
/// As in `page.css`.
const LINE_HEIGHT: usize = 20;
/// The bound that the page promises.
const MOST_NODES: u64 = 2_000;
/// The log keeps as many events as there are lines, and a job has some more than that.
const RETENTION: &str = "[retention]\nevents_per_job = 200000\n";

/// Counts all nodes: of text, too.
const NODES: &str = "const all = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
    let count = 1;
    while (all.nextNode()) count += 1;
    return count";
/// The lines in sight, each as the number and the text that is shown.
const IN_SIGHT: &str = "const view = document.querySelector('.log-view').getBoundingClientRect();
    const rows = [...document.querySelectorAll('.line')].filter((line) => {
        const { top, bottom } = line.getBoundingClientRect();
        return bottom > view.top + 2 && top < view.bottom - 2;
    });
    return rows.map((row) => [...row.children].map((part) => part.textContent))";

async fn assert_few_nodes(browser: &Session) {
    let count = browser.run(NODES, json!([])).await.as_u64().expect("a number");
    assert!(count <= MOST_NODES, "{count} nodes");
}

/// Scrolls, and waits until the page has drawn what is there.
async fn scroll(browser: &Session, line: usize) {
    let script = "document.querySelector('.log-view').scrollTop = args[0];
        for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame)";
    browser.run_async(script, json!([line * LINE_HEIGHT])).await;
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn any_place_of_a_long_log_shows_the_right_lines_in_few_nodes() {
    let server = Server::start(RETENTION);
    let job = External::open(&server);
    let browser = Session::start().await;
    browser.open(&server.page(&format!("#/jobs/{}", job.id))).await;
    job.count(1..=LINES);
    browser.wait_for("document.querySelector('.lines')?.textContent === '100,000 lines'").await;
    browser.wait_for("document.querySelector('.line:last-child .text').textContent === 'line 100000'").await;
    assert_few_nodes(&browser).await;
    browser.screenshot("log-of-100000-lines").await;

    let random = std::iter::repeat_with(|| fastrand::usize(0..LINES - 100)).take(25);
    for first in [0, 1, LINES - 100].into_iter().chain(random) {
        scroll(&browser, first).await;
        let shown = browser.run(IN_SIGHT, json!([])).await;
        let shown = shown.as_array().expect("lines");
        assert!(shown.len() > 10, "{shown:?}");
        for (offset, line) in shown.iter().enumerate() {
            let number = first + 1 + offset;
            assert_eq!(*line, json!([number.to_string(), format!("line {number}")]), "at line {first}");
        }
        assert_few_nodes(&browser).await;
    }
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn the_log_stays_at_its_end_unless_one_scrolls_up() {
    let server = Server::start("");
    let job = External::open(&server);
    let browser = Session::start().await;
    browser.open(&server.page(&format!("#/jobs/{}", job.id))).await;
    let last = "[...document.querySelectorAll('.line')].at(-1)?.textContent";
    let mut count = 0;
    let mut more = |lines| {
        job.count(count + 1..=count + lines);
        count += lines;
        count
    };
    for _ in 0..5 {
        let end = more(200);
        browser.wait_for(&format!("{last} === '{end}line {end}'")).await;
        let bottom = browser
            .run(
                "const log = document.querySelector('.log-view');
            return log.scrollHeight - log.clientHeight - log.scrollTop",
                json!([]),
            )
            .await;
        assert!(bottom.as_f64().is_some_and(|pixels| pixels < 2.0), "{bottom} pixels from the end");
    }

    scroll(&browser, 300).await;
    let before = browser.run(IN_SIGHT, json!([])).await;
    more(500);
    browser.wait_for("document.querySelector('.lines').textContent === '1,500 lines'").await;
    assert_eq!(browser.text(".to-end").await, "Jump to the end · 500 new");
    assert_eq!(browser.run(IN_SIGHT, json!([])).await, before, "what one reads moves");

    browser.click(".to-end").await;
    // The button is gone, and the focus is in the log.
    browser.wait_for(&format!("{last} === '1500line 1500'")).await;
    browser.press(key::HOME).await;
    browser.wait_for("document.querySelector('.line .text').textContent === 'line 1'").await;
    browser.press(key::END).await;
    let end = more(200);
    browser.wait_for(&format!("{last} === '{end}line {end}'")).await;
    assert_eq!(browser.console().await, [""; 0]);
}
