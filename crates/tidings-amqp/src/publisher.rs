//! Publishing on one channel.

use std::time::Duration;

use lapin::{Channel, Confirmation, PublisherConfirm, options::BasicPublishOptions, types::ShortString};

use crate::{
    fault::{Fault, within},
    message::Message,
};

/// Publishes on one channel, on which the broker confirms.
pub(crate) struct Publisher {
    channel: Channel,
    answer: Duration,
}

impl Publisher {
    pub(crate) fn new(channel: Channel, answer: Duration) -> Self {
        Self { channel, answer }
    }

    /// Sends a message off, to be confirmed later. Dropping the future may or may not have sent it.
    pub(crate) async fn publish(&self, exchange: &ShortString, message: Message) -> Result<PublisherConfirm, Fault> {
        let Message { routing_key, properties, body } = message;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = self.channel.basic_publish(exchange.clone(), routing_key, options, &body, properties);
        within(self.answer, "take a message", sent).await
    }

    /// Sends a message off, and waits for what the broker says.
    pub(crate) async fn tell(&self, exchange: &ShortString, message: Message) -> Result<Confirmation, Fault> {
        let confirm = self.publish(exchange, message).await?;
        within(self.answer, "confirm a message", confirm).await
    }
}
