//! Submitting jobs to, and following them over, a RabbitMQ broker (AMQP 0-9-1). Needs the cargo feature `amqp`.
//!
//! A [`Publisher`] submits jobs to the queue that servers take them from. A [`Consumer`] reads events from a queue of
//! its own that is bound to the exchange that servers tell events to, and takes of each job what comes next, so that
//! repeats don't show.
//!
//! Whoever joins a job late binds first, then reads the history over [short polling](crate::short_poll), then tells the
//! consumer how far that went:
//!
//! ```no_run
//! use tidings_client::{Config, HttpClient, Update, amqp, short_poll};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let job = "01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10".parse()?;
//! let broker = amqp::Broker::new("amqp://guest:guest@127.0.0.1:5672", Config::default())?;
//! let queue = amqp::Queue::temporary().bound_to(format!("pipeline.{job}.#"));
//! let mut consumer = amqp::Consumer::open(&broker, queue).await?;
//!
//! let client = HttpClient::default();
//! let history = format!("http://127.0.0.1:7330/jobs/{job}/short-poll");
//! let answer = client.send(http::Request::get(history).body(Default::default())?).await?;
//! let page = tidings_client::Page::parse(answer.body())?;
//! // A page that is full (`page.more`) would be followed by others.
//! consumer.know(job, page.cursor.number());
//!
//! loop {
//!     let delivery = consumer.next().await?;
//!     let is_over = matches!(delivery.update(), Update::Event(event) if event.is_terminal());
//!     delivery.ack().await;
//!     if is_over {
//!         break;
//!     }
//! }
//! # Ok(()) }
//! ```

mod broker;
mod consumer;
mod places;
mod publisher;
mod runtime;

pub use self::{
    broker::Broker,
    consumer::{Consumer, Delivery, Queue},
    publisher::{Publisher, Submission},
};
