//! WebDriver (W3C), as far as the tests need it.

use std::{
    fmt,
    time::{Duration, Instant},
};

use http::{Method, Request};
use serde_json::{Value, json};
use tidings_client::{Config, HttpClient};
use tokio::time::sleep;

use crate::{
    chromium::{Driver, keep_picture},
    support::HANGS,
};

/// How WebDriver names an element in JSON (W3C WebDriver, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long between two looks at a page.
const PAUSE: Duration = Duration::from_millis(20);

/// The keys that have no character (W3C WebDriver, 17.4.2).
pub(crate) mod key {
    pub(crate) const TAB: &str = "\u{E004}";
    pub(crate) const ENTER: &str = "\u{E007}";
    pub(crate) const HOME: &str = "\u{E011}";
    pub(crate) const END: &str = "\u{E010}";
}

/// A browser, driven by WebDriver. It ends when this is dropped.
pub(crate) struct Session {
    client: HttpClient,
    url: String,
    _driver: Driver,
}

/// An element of the page that is open.
#[derive(Clone, Debug)]
pub(crate) struct Element(String);

impl Session {
    /// Starts a browser with an empty profile.
    pub(crate) async fn start() -> Self {
        let driver = Driver::start().await;
        let mut config = Config::default();
        // A command may wait for as long as a script runs.
        config.answer_timeout = HANGS * 3;
        let client = HttpClient::new(config);
        let mut session = Self { client, url: driver.url(), _driver: driver };
        let started = session.post("/session", session._driver.capabilities("profile")).await;
        let id = started["sessionId"].as_str().expect("a session has an id");
        session.url = format!("{}/session/{id}", session.url);
        session.post("/timeouts", json!({ "script": (HANGS * 2).as_millis() as u64 })).await;
        session
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// The first element that a CSS selector matches, once there is one.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let find = json!({ "using": "css selector", "value": selector });
        let begun = Instant::now();
        loop {
            match self.try_post("/element", find.clone()).await {
                Ok(found) => return Element(found[ELEMENT].as_str().expect("an element").to_owned()),
                Err(error) if error.name != "no such element" => panic!("{error}"),
                Err(_) => assert!(begun.elapsed() < HANGS, "there is no {selector}"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Clicks the first element that a CSS selector matches.
    pub(crate) async fn click(&self, selector: &str) {
        let Element(id) = self.find(selector).await;
        self.post(&format!("/element/{id}/click"), json!({})).await;
    }

    /// Presses keys one after another, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let press = |key: char| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions: Vec<_> = keys.chars().flat_map(press).collect();
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] })).await;
    }

    /// What the body of a function gives in the page. `arguments` are its arguments.
    pub(crate) async fn run(&self, script: &str, arguments: Value) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": arguments })).await
    }

    /// What the body of an async function gives in the page.
    pub(crate) async fn run_async(&self, script: &str, arguments: Value) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async (...args) => {{ {script} }})(...arguments).then(
                 (value) => done({{ value }}), (error) => done({{ error: String(error.stack ?? error) }}));"
        );
        let outcome = self.post("/execute/async", json!({ "script": script, "args": arguments })).await;
        assert!(outcome["error"].is_null(), "the page's script fails: {}", outcome["error"]);
        outcome["value"].clone()
    }

    /// What an expression gives in the page once it is neither false, null, 0 nor empty. What it asks of an element that
    /// is not there yet is null.
    pub(crate) async fn wait_for(&self, expression: &str) -> Value {
        self.wait_within(HANGS, expression).await
    }

    /// The same with another limit than that of what hangs.
    pub(crate) async fn wait_within(&self, limit: Duration, expression: &str) -> Value {
        let begun = Instant::now();
        let script = format!(
            "try {{ return ({expression}) }} catch (error) {{ if (!(error instanceof TypeError)) throw error }}"
        );
        loop {
            let value = self.run(&script, json!([])).await;
            if !matches!(value, Value::Null | Value::Bool(false)) && value != 0 && value != "" {
                return value;
            }
            if begun.elapsed() > limit {
                let text = self.run("return document.body.innerText", json!([])).await;
                panic!("it does not come: {expression}\nthe page is\n{}", text.as_str().unwrap_or_default());
            }
            sleep(PAUSE).await;
        }
    }

    /// The text of the first element that a CSS selector matches, as it is shown.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let Element(id) = self.find(selector).await;
        self.get(&format!("/element/{id}/text")).await.as_str().expect("text").to_owned()
    }

    /// The role and the name by which a screen reader knows an element.
    pub(crate) async fn role_and_label(&self, selector: &str) -> (String, String) {
        let Element(id) = self.find(selector).await;
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let role = self.get(&format!("/element/{id}/computedrole")).await;
        (text(role), text(self.get(&format!("/element/{id}/computedlabel")).await))
    }

    /// Keeps a picture of the page in `target/screenshots/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let png = self.get("/screenshot").await;
        keep_picture(name, &base64(png.as_str().expect("a picture in base64")));
    }

    /// Sends a command of Chromium's own protocol.
    pub(crate) async fn chromium(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Lays the page out for a window of this size, in these colours: `light` or `dark`.
    pub(crate) async fn look(&self, width: u32, height: u32, colours: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", size).await;
        let colours = json!([{ "name": "prefers-color-scheme", "value": colours }]);
        self.chromium("Emulation.setEmulatedMedia", json!({ "features": colours })).await;
    }

    /// Opens another tab, and goes there. Gives the name to come back by.
    pub(crate) async fn new_tab(&self) -> String {
        let tab = self.post("/window/new", json!({ "type": "tab" })).await["handle"].clone();
        let tab = tab.as_str().expect("a tab has a name").to_owned();
        self.switch_to(&tab).await;
        tab
    }

    /// Goes to another tab.
    pub(crate) async fn switch_to(&self, tab: &str) {
        self.post("/window", json!({ "handle": tab })).await;
    }

    /// What the console has had to say since this was asked last: one line each.
    pub(crate) async fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({ "type": "browser" })).await;
        let line = |entry: &Value| format!("{} {}", entry["level"], entry["message"]);
        log.as_array().expect("a log").iter().map(line).collect()
    }

    async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, String::new()).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.try_post(path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_post(&self, path: &str, body: Value) -> Result<Value, Refusal> {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Result<Value, Refusal> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json; charset=utf-8")
            .body(body.into())
            .expect("a request");
        let answer = self.client.send(request).await.unwrap_or_else(|error| panic!("chromedriver: {path}: {error}"));
        let mut told: Value = serde_json::from_slice(answer.body()).expect("WebDriver speaks JSON");
        let value = told["value"].take();
        if answer.status().is_success() {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(Refusal { name: text("error"), message: text("message") })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A command that the browser did not carry out (W3C WebDriver, 6.6).
#[derive(Debug)]
struct Refusal {
    name: String,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// Decodes base64 (RFC 4648, section 4), of which pictures come as a whole number of groups.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().take_while(|letter| *letter != b'=') {
        let value = ALPHABET.iter().position(|other| *other == letter).expect("a letter of base64");
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xFF) as u8);
        }
    }
    bytes
}
