//! The page, from submit to result.

use serde_json::json;
use tidings_testkit::proxy::{Mode, Proxy};

use crate::{
    external::External,
    session::{Session, key},
    support::Server,
};

/// A pipeline `quick` of two steps, and one that goes on until it is cancelled.
const PIPELINES: &str = r#"
[[pipelines.quick.steps]]
name = "greet"
command = ["sh", "-c", "echo hello"]
[[pipelines.quick.steps]]
name = "leave"
command = ["sh", "-c", "echo goodbye >&2"]

[[pipelines.endless.steps]]
name = "wait"
command = ["sh", "-c", "echo waiting; sleep 600"]
"#;

/// What the log shows, line by line.
const LINES: &str = "[...document.querySelectorAll('.line .text')].map((line) => line.textContent)";

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_job_goes_from_submit_to_result() {
    let server = Server::start(PIPELINES);
    let browser = Session::start().await;
    browser.open(&server.page("/")).await;
    browser.click("option[value=quick], select option:nth-child(3)").await;
    assert_eq!(browser.text(".path").await, "greet\nleave");
    browser.click(".submit button[value=job]").await;

    browser.wait_for("document.querySelector('.title .state')?.dataset.state === 'succeeded'").await;
    assert_eq!(browser.text("h1").await, "quick");
    let lines = browser.wait_for(&format!("{LINES}.length === 2 && {LINES}")).await;
    assert_eq!(lines, json!(["hello", "goodbye"]));
    let streams = browser.run("return [...document.querySelectorAll('.line')].map((l) => l.dataset.stream)", json!([]));
    assert_eq!(streams.await, json!(["stdout", "stderr"]));
    let steps = browser.run("return [...document.querySelectorAll('.step')].map((s) => s.dataset.state)", json!([]));
    assert_eq!(steps.await, json!(["succeeded", "succeeded"]));
    let result = browser.text(".outcome").await;
    assert!(result.starts_with("Result\n{") && result.contains(r#""name": "greet""#), "{result}");

    // Whoever comes later sees the same.
    let id = browser.run("return location.hash.split('/').at(-1)", json!([])).await;
    assert_eq!(server.job(id.as_str().expect("an id"))["state"], "succeeded");
    browser.run("location.reload()", json!([])).await;
    assert_eq!(browser.wait_for(&format!("{LINES}.length === 2 && {LINES}")).await, lines);
    browser.click(".trail a").await;
    browser.wait_for("document.querySelector('.row .state')?.textContent === 'succeeded'").await;
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_job_is_cancelled_on_its_page() {
    let server = Server::start(PIPELINES);
    let id = server.submit("endless");
    let browser = Session::start().await;
    browser.open(&server.page(&format!("#/jobs/{id}"))).await;
    browser.wait_for(&format!("{LINES}[0] === 'waiting'")).await;
    browser.click("[data-part=cancel]").await;
    browser.wait_for("document.querySelector('.title .state').dataset.state === 'cancelled'").await;
    assert_eq!(server.job(&id)["state"], "cancelled");
    let step = browser.run("return document.querySelector('.step').dataset.state", json!([])).await;
    assert_eq!(step, "cancelled");
    assert!(browser.wait_for("document.querySelector('[data-part=cancel]').hidden").await == true);
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_job_is_started_without_a_pointer() {
    let server = Server::start(PIPELINES);
    let browser = Session::start().await;
    browser.open(&server.page("/")).await;
    browser.wait_for("document.querySelector('select')").await;
    // Past the link to the content and the one to the first page. A letter chooses in a list.
    browser.press(&[key::TAB, key::TAB, key::TAB, "q", key::TAB, key::ENTER].concat()).await;
    browser.wait_for("document.querySelector('.title .state')?.dataset.state === 'succeeded'").await;
    // The focus is where reading goes on, and goes on to what can be used.
    assert_eq!(browser.run("return document.activeElement.textContent", json!([])).await, "quick");
    browser.press(key::TAB).await;
    assert_eq!(browser.run("return document.activeElement.textContent", json!([])).await, "Race the transports");
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn any_kind_is_started_where_no_pipelines_are_listed() {
    let server = Server::start(PIPELINES);
    let browser = Session::start().await;
    browser.chromium("Network.enable", json!({})).await;
    browser.chromium("Network.setBlockedURLs", json!({ "urls": ["*/pipelines"] })).await;
    browser.open(&server.page("/")).await;
    assert_eq!(browser.role_and_label("textarea").await, ("textbox".into(), "Input, as JSON".into()));
    browser.click("input[name=kind]").await;
    browser.press(&["pipeline", key::TAB, " not JSON"].concat()).await;
    browser.click(".submit button[value=job]").await;
    let error = "document.querySelector('.submit .error').textContent";
    browser.wait_for(&format!("{error}.startsWith('The input is not JSON')")).await;

    browser.run("document.querySelector('textarea').value = arguments[0]", json!([r#"{"pipeline": "none"}"#])).await;
    browser.click(".submit button[value=job]").await;
    browser.wait_for(&format!("{error}.includes('there is no pipeline')")).await;

    browser.run("document.querySelector('textarea').value = arguments[0]", json!([r#"{"pipeline": "quick"}"#])).await;
    browser.click(".submit button[value=race]").await;
    browser.wait_for("document.querySelector('.title .state')?.dataset.state === 'succeeded'").await;
    assert_eq!(browser.text("h1").await, "Race");
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_page_shows_each_line_when_it_comes() {
    let server = Server::start("");
    let job = External::open(&server);
    let browser = Session::start().await;
    browser.open(&server.page(&format!("#/jobs/{}", job.id))).await;
    for count in 1..=5 {
        job.count([count]);
        let all: Vec<_> = (1..=count).map(|number| format!("line {number}")).collect();
        let shown = browser.wait_for(&format!("{LINES}.length === {count} && {LINES}")).await;
        assert_eq!(shown, json!(all));
    }
    job.report("progress", json!({ "done": 30, "total": 100, "unit": "%", "message": "reading" }));
    browser.wait_for("document.querySelector('[data-part=doing]').textContent === '30 % · reading'").await;
    job.succeed();
    browser.wait_for("document.querySelector('.title .state').dataset.state === 'succeeded'").await;
    assert_eq!(browser.text(".outcome pre").await, "all of it");
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn the_list_is_live() {
    let server = Server::start("");
    let browser = Session::start().await;
    browser.open(&server.page("/")).await;
    browser.wait_for("!document.querySelector('.empty').hidden").await;
    let rows = "[...document.querySelectorAll('.row')].map((row) => \
                [row.querySelector('.id').textContent, row.querySelector('.state').textContent])";
    let first = External::open(&server);
    browser.wait_for(&format!("{rows}.length === 1")).await;
    let second = External::open(&server);
    browser.wait_for(&format!("{rows}.length === 2")).await;
    first.succeed();
    browser.wait_for(&format!("{rows}[1][1] === 'succeeded'")).await;
    let short = |job: &External| job.id[job.id.len() - 8..].to_owned();
    let shown = browser.run(&format!("return {rows}"), json!([])).await;
    assert_eq!(shown, json!([[short(&second), "running"], [short(&first), "succeeded"]]));
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn the_race_shows_all_transports() {
    let server = Server::start("");
    let job = External::open(&server);
    let browser = Session::start().await;
    browser.open(&server.page(&format!("#/race/{}", job.id))).await;
    let lanes = "Object.fromEntries([...document.querySelectorAll('.lane')].map((lane) => [lane.querySelector('h2').textContent, \
                 [...lane.querySelectorAll('dd')].map((number) => number.textContent)]))";
    browser.wait_for(&format!("Object.values({lanes}).filter(([events]) => events === '2').length === 3")).await;
    for count in 1..=10 {
        job.count([count]);
    }
    job.succeed();
    browser.wait_for(&format!("Object.values({lanes}).filter(([events]) => events === '13').length === 3")).await;
    let shown = browser.run(&format!("return {lanes}"), json!([])).await;
    for transport in ["short-poll", "long-poll", "sse"] {
        let numbers: Vec<_> = shown[transport].as_array().expect("a lane").iter().filter_map(|n| n.as_str()).collect();
        assert!(numbers[3].ends_with('s') && numbers[2].ends_with('B'), "{transport}: {numbers:?}");
    }
    assert_eq!(shown["sse"][1], "1", "a stream is one request: {shown}");
    let broker = browser.text(".lane.absent").await;
    assert!(broker.contains("No broker is configured"), "{broker}");
    assert_eq!(browser.console().await, [""; 0]);
}

/// A server that tells of a broker, which need not be there for that.
const WITH_A_BROKER: &str = "const real = window.fetch;
    window.lag = 1234;
    window.fetch = async (url, options) => {
        const answer = await real(url, options);
        if (!String(url).endsWith('/transports')) return answer;
        const told = await answer.json();
        told.transports.push({ name: 'amqp', exchange: 'tidings.events', status: 'down', since: null, lag: window.lag });
        return Response.json(told);
    };";

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn the_race_shows_how_far_behind_the_broker_is() {
    let server = Server::start("");
    let job = External::open(&server);
    job.succeed();
    let browser = Session::start().await;
    browser.chromium("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WITH_A_BROKER })).await;
    browser.open(&server.page(&format!("#/race/{}", job.id))).await;
    let lane = "(document.querySelector('.lane:last-child')?.innerText ?? '').split('\\n').filter((line) => line.trim()).slice(-4)";
    browser.wait_for(&format!("{lane}.join() === 'Status,down,Lag,1,234 events'")).await;
    // The job is over, and the broker is not done with it.
    browser.run("lag = 0", json!([])).await;
    browser.wait_for(&format!("{lane}.join() === 'Status,down,Lag,0 events'")).await;
    assert_eq!(browser.run("return document.querySelector('.lane.absent')", json!([])).await, json!(null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_server_that_is_away_is_said_and_its_return_too() {
    let server = Server::start("hosts = [\"*\"]");
    let proxy = Proxy::start(server.address).await.expect("a port");
    let browser = Session::start().await;
    browser.open(&format!("http://{}/", proxy.address())).await;
    let is = |state: &str| format!("document.querySelector('.server').dataset.state === '{state}'");
    browser.wait_for(&is("there")).await;
    proxy.set(Mode::Down).await.expect("its port is its own");
    browser.wait_for(&is("away")).await;
    let said = browser.text(".server").await;
    assert!(said.starts_with("No answer from the server since "), "{said}");
    let job = External::open(&server);
    proxy.set(Mode::Pass).await.expect("its port is its own");
    browser.wait_for(&is("there")).await;
    browser.wait_for("document.querySelector('.row .state')?.textContent === 'running'").await;
    job.succeed();
    browser.wait_for("document.querySelector('.row .state')?.textContent === 'succeeded'").await;
}

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn what_is_not_there_is_said() {
    let server = Server::start(PIPELINES);
    let browser = Session::start().await;
    browser.open(&server.page("#/jobs/01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10")).await;
    browser.wait_for("document.querySelector('h1')?.textContent === 'There is no such job'").await;
    browser.run("location.hash = '#/nowhere'", json!([])).await;
    browser.wait_for("document.querySelector('h1')?.textContent === 'There is no such page'").await;
}
