//! What is logged of a broker that refuses a password. A test of its own, as it listens to all that its process logs.

mod support;

use std::{
    io,
    sync::{Arc, Mutex},
};

use support::{Names, broker, start, until};
use tracing_subscriber::fmt::MakeWriter;

/// All that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_refusal_is_told_once_and_without_the_password() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).with_ansi(false);
    subscriber.try_init().expect("nobody else listens");
    let (broker, names) = (broker().await, Names::new());
    let url = broker.url();
    let (user, host) = (url.strip_prefix("amqp://").expect("a URL")).split_once('@').expect("a user");
    let user = user.split(':').next().expect("a name");
    let config = names.config(&format!("amqp://{user}:s3cret@{host}"));
    assert!(!format!("{config:?}").contains("s3cret"));
    let rig = start(config);
    until("refused", async || log.text().contains("ACCESS_REFUSED")).await;
    rig.shut_down().await;
    let text = log.text();
    let shown = text.lines().find(|line| line.contains("s3cret"));
    assert_eq!(shown, None);
    let lines = |of: &str| text.lines().filter(|line| line.contains(of)).collect::<Vec<_>>();
    let told = lines(" WARN ");
    assert!(matches!(told[..], [only] if only.contains("the broker can't be used")), "{told:#?}");
    assert_eq!(lines("lapin::io_loop"), [""; 0]);
}
