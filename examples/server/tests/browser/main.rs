//! The page and the browser module in a real Chromium, against the real program.
//!
//! Each test has a server and a browser of its own. Pictures of what a test saw go to `target/screenshots`.

#[path = "../support/mod.rs"]
mod support;

mod chromium;
mod session;

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_browser_reaches_the_server() {
    let server = support::Server::start("");
    let session = session::Session::start().await;
    session.open(&format!("http://{}/healthz", server.address)).await;
    assert_eq!(session.text("pre").await, r#"{"status":"alive"}"#);
    session.screenshot("healthz").await;
    println!("{:?}", session.console().await);
}
