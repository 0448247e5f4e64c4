//! The way in: submissions, from a queue to the jobs.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Confirmation, Consumer,
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use tidings_core::{Feed, Jobs, Problem, Shutdown};
use tokio::time::Instant;

use crate::{
    admission::{self, Verdict},
    connection::Broker,
    fault::{Fault, Unkept, within},
    held::{Held, acknowledge},
    message::Message,
    monitor::{Monitor, Side},
    publisher::Publisher,
    topology::Topology,
};

/// How long until a submission is tried again for which there was no room.
const ROOM_AGAIN: Duration = Duration::from_millis(500);

/// Takes submissions from the queue.
pub(crate) struct Intake {
    pub(crate) feed: Feed,
    pub(crate) jobs: Jobs,
    pub(crate) shutdown: Shutdown,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) broker: Broker,
    pub(crate) topology: Topology,
    pub(crate) prefetch: u16,
    pub(crate) acknowledge_after: Duration,
}

impl Intake {
    /// Takes submissions over one connection. Comes back once the host has ended its jobs.
    pub(crate) async fn session(&self, queue: &ShortString) -> Result<(), Fault> {
        let link = self.broker.connect("tidings: submissions").await?;
        // Of its own: the broker stops reading from a connection that publishes while it is short of memory, and
        // acknowledgements would wait behind that.
        let answers = self.broker.connect("tidings: answers").await?;
        let channel = link.channel().await?;
        let limit = self.broker.answer;
        within(limit, "declare a queue", self.topology.declare_jobs(&channel, queue)).await?;
        within(limit, "limit deliveries", channel.basic_qos(self.prefetch.max(1), BasicQosOptions::default())).await?;
        let publisher = Publisher::new(answers.confirming_channel().await?, limit);
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consume = channel.basic_consume(queue.clone(), ShortString::default(), options, none);
        let consumer = within(limit, "deliver", consume).await?;
        self.monitor.connected(Side::Consuming);
        let held = Held::new(self.feed.clone(), self.shutdown.clone(), limit);
        let session =
            Session { intake: self, channel, publisher, held, inbox: VecDeque::new(), take_at: Instant::now() };
        tokio::select! {
            end = session.run(consumer) => end?,
            fault = link.broken() => return Err(fault),
            fault = answers.broken() => return Err(fault),
        }
        answers.close().await;
        link.close().await;
        Ok(())
    }
}

/// One connection's worth of taking submissions.
struct Session<'a> {
    intake: &'a Intake,
    channel: Channel,
    publisher: Publisher,
    held: Held,
    /// Delivered and not looked at yet, the first delivered first. As many as the prefetch at most.
    inbox: VecDeque<Arrived>,
    /// When to look at the next one: later than now where there was no room for it.
    take_at: Instant,
}

struct Arrived {
    delivery: Delivery,
    /// The broker counts from here until it takes the delivery back.
    at: Instant,
}

impl Session<'_> {
    async fn run(mut self, mut consumer: Consumer) -> Result<(), Fault> {
        loop {
            tokio::select! {
                biased;
                () = self.intake.shutdown.begun() => break,
                ended = self.held.ended() => self.held.settle(ended).await?,
                delivery = consumer.next() => {
                    let delivery = delivery.ok_or(Fault::QueueGone)??;
                    self.inbox.push_back(Arrived { delivery, at: Instant::now() });
                }
                () = tokio::time::sleep_until(self.take_at), if !self.inbox.is_empty() => {
                    if let Some(arrived) = self.inbox.pop_front() {
                        self.take(arrived).await?;
                    }
                }
            }
        }
        self.stop(consumer).await?;
        while !self.held.is_empty() && !self.intake.shutdown.are_jobs_over() {
            tokio::select! {
                biased;
                ended = self.held.ended() => self.held.settle(ended).await?,
                () = self.intake.shutdown.jobs_over() => {}
            }
        }
        self.held.give_up().await
    }

    /// Has nothing more delivered, and hands back what was not looked at, so that others need not wait for this host's
    /// end.
    async fn stop(&mut self, mut consumer: Consumer) -> Result<(), Fault> {
        let limit = self.intake.broker.answer;
        let cancel = self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        within(limit, "stop delivering", cancel).await?;
        let rest = async {
            while let Some(delivery) = consumer.next().await {
                self.inbox.push_back(Arrived { delivery: delivery?, at: Instant::now() });
            }
            Ok::<_, lapin::Error>(())
        };
        within(limit, "stop delivering", rest).await?;
        for arrived in std::mem::take(&mut self.inbox) {
            self.hand_back(&arrived.delivery).await?;
        }
        Ok(())
    }

    async fn hand_back(&mut self, delivery: &Delivery) -> Result<(), Fault> {
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        within(self.intake.broker.answer, "take a submission back", delivery.acker.nack(options)).await?;
        Ok(())
    }

    async fn take(&mut self, arrived: Arrived) -> Result<(), Fault> {
        let delivery = &arrived.delivery;
        let intake = self.intake;
        let limit = intake.jobs.limits().submission_bytes;
        let accepted = match admission::read(&delivery.data, &delivery.properties, limit) {
            Ok(submission) => intake.jobs.submit(submission).await,
            Err(problem) => Err(problem),
        };
        match accepted {
            Ok(accepted) => {
                tracing::debug!(job = %accepted.job.id, "a submission was accepted");
                if let Some(reply_to) = delivery.properties.reply_to() {
                    let json = intake.jobs.accepted_json(&accepted);
                    self.answer(Message::accepted(reply_to, &delivery.properties, json)).await?;
                }
                let until = arrived.at + intake.acknowledge_after;
                self.held.hold(delivery.delivery_tag, delivery.acker.clone(), accepted.job.id, until);
                Ok(())
            }
            Err(problem) => self.refuse(arrived, &problem).await,
        }
    }

    async fn refuse(&mut self, arrived: Arrived, problem: &Problem) -> Result<(), Fault> {
        let limit = self.intake.broker.answer;
        match Verdict::of(problem.kind()) {
            Verdict::Never => self.bury(arrived.delivery, problem).await,
            Verdict::Done => {
                let Delivery { properties, acker, .. } = arrived.delivery;
                self.answer_refused(&properties, problem).await?;
                acknowledge(&acker, limit).await
            }
            Verdict::Elsewhere => self.hand_back(&arrived.delivery).await,
            // The broker is about to take it back, and would close the channel for it.
            Verdict::Later if arrived.at.elapsed() >= self.intake.acknowledge_after => {
                tracing::warn!("there has been no room for a submission for so long that it is handed back");
                self.hand_back(&arrived.delivery).await
            }
            // Kept, and not handed back: that would count against the delivery limit.
            Verdict::Later => {
                tracing::debug!(%problem, "there is no room for a submission just now");
                self.inbox.push_front(arrived);
                self.take_at = Instant::now() + ROOM_AGAIN;
                Ok(())
            }
        }
    }

    /// Puts a submission that can never be accepted where somebody may look at it, tells whoever sent it, and only then
    /// acknowledges it.
    async fn bury(&mut self, delivery: Delivery, problem: &Problem) -> Result<(), Fault> {
        // What is wrong with it is in the letter: here its sender's words would be ours.
        let reason = problem.kind().name();
        tracing::warn!(reason, "a submission that can never be accepted goes to the dead letters");
        let Delivery { properties, data, acker, .. } = delivery;
        let dead = Message::dead(&properties, data, problem);
        match self.publisher.tell(&self.intake.topology.dead, dead).await? {
            Confirmation::Ack(None) => {}
            _ => return Err(Fault::Refused(Unkept::DeadLetter)),
        }
        self.answer_refused(&properties, problem).await?;
        acknowledge(&acker, self.intake.broker.answer).await
    }

    async fn answer_refused(&mut self, request: &BasicProperties, problem: &Problem) -> Result<(), Fault> {
        match request.reply_to() {
            Some(reply_to) => self.answer(Message::refused(reply_to, request, problem)).await,
            None => Ok(()),
        }
    }

    /// Answers whoever sent a submission. Where its queue is gone or full, that is no trouble of ours.
    async fn answer(&mut self, answer: Message) -> Result<(), Fault> {
        let reply_to = answer.routing_key.clone();
        match self.publisher.tell(&ShortString::default(), answer).await? {
            Confirmation::Ack(None) | Confirmation::NotRequested => {}
            Confirmation::Ack(Some(_)) => tracing::debug!(%reply_to, "there is no queue for an answer"),
            Confirmation::Nack(_) => tracing::debug!(%reply_to, "the queue for an answer takes no more"),
        }
        Ok(())
    }
}
