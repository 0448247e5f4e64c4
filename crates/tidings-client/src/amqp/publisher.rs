//! Submitting jobs through a queue.

use std::fmt;

use bytes::Bytes;
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::{sync::Mutex, time::timeout};

use super::broker::{Broker, broken};
use crate::error::{Error, ErrorKind};

/// Persistent, in the words of AMQP.
const PERSISTENT: u8 = 2;

/// A job to be submitted.
#[derive(Clone, Debug)]
pub struct Submission {
    body: Bytes,
    message_id: Option<String>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
}

impl Submission {
    /// A submission with this JSON as its body: what `POST /jobs` takes, such as `{"kind": "pipeline", "input": {…}}`.
    #[must_use]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), message_id: None, correlation_id: None, reply_to: None }
    }

    /// Gives it an idempotency key: however often it is submitted under the same id, there is one job. Without, a job
    /// may run twice after a broken connection.
    #[must_use]
    pub fn with_message_id(self, id: impl Into<String>) -> Self {
        Self { message_id: Some(id.into()), ..self }
    }

    /// Asks for the job's snapshot, or for why it can't be, to be sent to this queue under this correlation id.
    #[must_use]
    pub fn with_reply_to(self, queue: impl Into<String>, correlation_id: impl Into<String>) -> Self {
        Self { reply_to: Some(queue.into()), correlation_id: Some(correlation_id.into()), ..self }
    }

    fn properties(&self) -> Result<BasicProperties, Error> {
        let mut properties =
            BasicProperties::default().with_content_type("application/json".into()).with_delivery_mode(PERSISTENT);
        if let Some(id) = &self.message_id {
            properties = properties.with_message_id(short(id)?);
        }
        if let Some(id) = &self.correlation_id {
            properties = properties.with_correlation_id(short(id)?);
        }
        if let Some(queue) = &self.reply_to {
            properties = properties.with_reply_to(short(queue)?);
        }
        Ok(properties)
    }
}

/// Submits jobs to the queue that servers take them from.
///
/// It connects when first used, and anew when used after its connection broke; what failed is for the caller to submit
/// again. One connection serves any number of submissions at once.
pub struct Publisher {
    broker: Broker,
    /// Keeps its connection open. Locked while connecting only, so that those who come meanwhile share what is made.
    channel: Mutex<Option<Channel>>,
}

impl Publisher {
    /// A publisher that has not connected yet.
    #[must_use]
    pub fn new(broker: &Broker) -> Self {
        Self { broker: broker.clone(), channel: Mutex::new(None) }
    }

    /// Submits a job. On `Ok` the broker has it and will not lose it; whether a server accepts it is told to the queue
    /// that the submission names for replies.
    ///
    /// # Errors
    ///
    /// [Temporary](Error::is_temporary) ones where the broker is away or does not confirm in time: whether it has the
    /// submission is then unknown, so submit it again under the same message id. [`ErrorKind::Broker`] where it
    /// refuses, and where the queue does not exist, as no server has made it yet.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves unknown whether the broker has it.
    pub async fn submit(&self, submission: &Submission) -> Result<(), Error> {
        let properties = submission.properties()?;
        let queue = short(self.broker.jobs_queue())?;
        let channel = self.channel().await?;
        self.broker.counters().add_request();
        let publishing = async {
            // Mandatory: a submission that no queue takes must not count as done.
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let confirm = channel.basic_publish("".into(), queue, options, &submission.body, properties).await?;
            confirm.await
        };
        match timeout(self.broker.config().answer_timeout, publishing).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(_)))) => {
                let message = format!("there is no queue {}", self.broker.jobs_queue());
                Err(Error::new(ErrorKind::Broker, message))
            }
            Ok(Ok(_)) => Err(Error::new(ErrorKind::Broker, "the broker did not take the submission")),
            Ok(Err(error)) => Err(broken(error)),
            Err(_) => {
                // A broker that is silent for so long may be frozen: don't use this connection again.
                self.channel.lock().await.take();
                Err(Error::new(ErrorKind::Timeout, "the broker did not confirm in time"))
            }
        }
    }

    async fn channel(&self) -> Result<Channel, Error> {
        let mut shared = self.channel.lock().await;
        if let Some(channel) = shared.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        let connection = self.broker.connect().await?;
        let opening = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        match timeout(self.broker.config().answer_timeout, opening).await {
            Ok(channel) => Ok(shared.insert(channel.map_err(broken)?).clone()),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the broker did not answer in time")),
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("broker", &self.broker).finish_non_exhaustive()
    }
}

/// A text in the form that AMQP has for names: at most 255 bytes.
pub(super) fn short(text: &str) -> Result<ShortString, Error> {
    if text.len() > usize::from(u8::MAX) {
        return Err(Error::new(ErrorKind::InvalidInput, "a name of more than 255 bytes"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_says_what_it_was_told_to() {
        let submission = Submission::new("{}").with_message_id("key").with_reply_to("replies", "7");
        let properties = submission.properties().expect("all are short");
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(text(properties.message_id()), "key");
        assert_eq!(text(properties.reply_to()), "replies");
        assert_eq!(text(properties.correlation_id()), "7");
        assert_eq!(*properties.delivery_mode(), Some(2));
        let long = Submission::new("{}").with_message_id("k".repeat(256)).properties();
        assert_eq!(long.expect_err("it is too long").kind(), ErrorKind::InvalidInput);
    }
}
