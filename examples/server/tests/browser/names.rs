//! What a screen reader is told.

use serde_json::{Value, json};

use crate::{external::External, session::Session, support::Server};

/// Whatever can have the focus, by its role and name as the browser computes them.
async fn assert_named(browser: &Session) {
    let count = browser
        .run(
            "const all = [...document.querySelectorAll('a[href], button, select, input, textarea, [tabindex=\"0\"]')]
                .filter((node) => node.checkVisibility());
             all.forEach((node, index) => node.dataset.tried = index);
             return all.length",
            json!([]),
        )
        .await;
    for index in 0..count.as_u64().expect("a number") {
        let (role, label) = browser.role_and_label(&format!("[data-tried=\"{index}\"]")).await;
        assert!(!label.is_empty(), "a {role} has no name: {index}");
    }
}

/// One heading of the first level, a main part, and no two elements of one id.
async fn assert_sound(browser: &Session) {
    let counts =
        browser.run("return ['h1', 'main', 'header'].map((name) => document.querySelectorAll(name).length)", json!([]));
    assert_eq!(counts.await, json!([1, 1, 1]));
    assert_eq!(browser.role_and_label("main").await.0, "main");
    assert_eq!(browser.role_and_label("header").await.0, "banner");
    let ids = browser.run("return [...document.querySelectorAll('[id]')].map(({ id }) => id).sort()", json!([])).await;
    let ids = ids.as_array().expect("ids");
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    let language = browser.run("return document.documentElement.lang", json!([])).await;
    assert_eq!(language, "en");
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn everything_has_a_role_and_a_name() {
    let server = Server::start("");
    let job = External::open(&server);
    job.report("progress", json!({ "done": 1, "total": 4, "unit": "files", "message": null }));
    job.count(1..=100);
    let browser = Session::start().await;

    browser.open(&server.page("/")).await;
    browser.wait_for("document.querySelector('.row') && document.querySelector('select')").await;
    assert_eq!(browser.run("return document.title", json!([])).await, "Jobs · Tidings");
    assert_sound(&browser).await;
    assert_named(&browser).await;
    assert_eq!(browser.role_and_label("select").await, ("combobox".into(), "Pipeline".into()));
    assert_eq!(browser.role_and_label(".submit").await, ("form".into(), "New job".into()));
    assert_eq!(browser.role_and_label(".rows").await.0, "list");

    browser.run("location.hash = `#/jobs/${arguments[0]}`", json!([job.id])).await;
    browser.wait_for("document.querySelector('.line')").await;
    assert_eq!(browser.run("return document.title", json!([])).await, "import · Tidings");
    assert_sound(&browser).await;
    assert_named(&browser).await;
    assert_eq!(browser.role_and_label(".progress progress").await, ("progressbar".into(), "Progress".into()));
    assert_eq!(browser.role_and_label(".log-view").await, ("region".into(), "Log lines".into()));
    assert_eq!(browser.role_and_label(".line").await.0, "listitem");
    let position: Value = browser.run("return document.querySelector('.line').ariaPosInSet", json!([])).await;
    assert!(position.as_str().is_some_and(|position| position.parse::<usize>().is_ok()), "{position}");
    browser.wait_for("document.querySelector('#announcer').textContent === ''").await;
    job.succeed();
    // Told once, and nothing of the lines before.
    browser.wait_for("document.querySelector('#announcer').textContent === 'import succeeded'").await;

    browser.run("location.hash = `#/race/${arguments[0]}`", json!([job.id])).await;
    browser.wait_for("document.querySelectorAll('.lane').length === 4").await;
    assert_eq!(browser.run("return document.activeElement.tagName", json!([])).await, "H1");
    assert_sound(&browser).await;
    assert_named(&browser).await;
    assert_eq!(browser.console().await, [""; 0]);
}
