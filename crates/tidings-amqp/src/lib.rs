//! Tidings over AMQP 0-9-1 (RabbitMQ): events go out to an exchange, submissions come in from a queue.
mod config;
mod url;
mod fault;
mod topology;
mod message;
mod connection;
mod publisher;
mod window;
mod monitor;
mod pauses;
mod outlet;
mod admission;
mod held;
mod intake;
mod relay;

pub use config::Config;
pub use relay::Amqp;
pub use url::BrokerUrl;
