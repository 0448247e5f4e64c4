//! What a [`Follow`](super::Follow) does, item by item.

use std::{collections::VecDeque, time::Duration};

use tidings_core::{Cursor, JobId};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    error::{Error, ErrorKind},
    follower::{Follower, Source},
    long_poll, short_poll, sse,
    transport::Transport,
    update::Update,
    url,
};

/// What is to be followed, and how.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) client: Client,
    pub(super) job: JobId,
    pub(super) transports: Vec<Transport>,
    pub(super) after: Option<Cursor>,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel: CancellationToken,
}

#[derive(Debug)]
pub(super) struct Following {
    setup: Setup,
    ready: VecDeque<Update>,
    follower: Option<Follower>,
}

impl Following {
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, ready: VecDeque::new(), follower: None }
    }

    async fn begin(&mut self) -> Result<Follower, Error> {
        let Setup { client, job, transports, after, .. } = &self.setup;
        let job = client.get(*job).await?;
        let link = transports.iter().find_map(|transport| Some((*transport, job.link(transport.name())?)));
        let (transport, link) =
            link.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "none of the transports is mounted"))?;
        let url = url::resolve(client.base(), link)?;
        let follower = match transport {
            Transport::Sse => sse::follow(client.http(), url, *after),
            Transport::LongPoll => long_poll::follow(client.http(), url, *after),
            Transport::ShortPoll => short_poll::follow(client.http(), url, *after),
        };
        self.ready.extend([Update::Job(Box::new(job)), Update::Transport(transport)]);
        Ok(follower)
    }
}

impl Source for Following {
    type Item = Update;

    async fn next(&mut self) -> Option<Result<Update, Error>> {
        if self.follower.is_none() {
            match self.begin().await {
                Ok(follower) => self.follower = Some(follower),
                Err(error) => return Some(Err(error)),
            }
        }
        match self.ready.pop_front() {
            Some(update) => Some(Ok(update)),
            None => self.follower.as_mut()?.next().await,
        }
    }
}
