//! The loop that short and long polling share: ask for a page, hand out what it holds, ask again.

use std::{collections::VecDeque, mem, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use tidings_core::Cursor;
use tokio::time::{Instant, sleep};

use crate::{
    answer::{refused, retry_after},
    backoff::Backoff,
    error::Error,
    follower::Source,
    http_client::HttpClient,
    page::Page,
    update::{Run, Update},
    url::with_query,
};

/// An answer without news that came sooner than this was not held, whatever was asked for.
const HELD: Duration = Duration::from_millis(500);

/// How often the server is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// From time to time, for what is there by then.
    Now,
    /// At once after each answer, to be answered when there is news or this time has passed.
    Hold(Duration),
}

/// A job's updates, page by page.
#[derive(Debug)]
pub(crate) struct Pages {
    client: HttpClient,
    url: Uri,
    pace: Pace,
    after: Option<Cursor>,
    /// What names the last page, where the server gave it a name.
    etag: Option<HeaderValue>,
    run: Run,
    /// What the last page held and nobody has taken yet.
    ready: VecDeque<Update>,
    is_over: bool,
    /// How long to wait before the next request.
    pause: Duration,
    backoff: Backoff,
}

/// An answer that is as it should be.
struct Answer {
    /// `None` where nothing is new.
    page: Option<Page>,
    retry_after: Option<Duration>,
    took: Duration,
}

impl Source for Pages {
    type Item = Update;

    async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            while let Some(update) = self.ready.pop_front() {
                if let Some(update) = self.run.admit(update).transpose() {
                    return Some(update);
                }
            }
            if self.is_over {
                return None;
            }
            sleep(mem::take(&mut self.pause)).await;
            match self.ask().await {
                Ok(answer) => self.accept(answer),
                Err(error) => match self.backoff.failed(error) {
                    Ok(pause) => self.pause = pause,
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }
}

impl Pages {
    pub(crate) fn new(client: &HttpClient, url: Uri, after: Option<Cursor>, pace: Pace) -> Self {
        Self {
            backoff: Backoff::new(client.config()),
            client: client.clone(),
            url,
            pace,
            after,
            etag: None,
            run: Run::new(after),
            ready: VecDeque::new(),
            is_over: false,
            pause: Duration::ZERO,
        }
    }

    async fn ask(&mut self) -> Result<Answer, Error> {
        let after = self.after.map(|cursor| cursor.to_string());
        let mut parameters: Vec<(&str, &str)> = after.iter().map(|cursor| ("after", cursor.as_str())).collect();
        let wait;
        let hold = match self.pace {
            Pace::Now => Duration::ZERO,
            Pace::Hold(hold) => {
                wait = hold.as_secs().to_string();
                parameters.push(("wait", &wait));
                hold
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(etag) = &self.etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }

        let asked = Instant::now();
        let response = self.client.get(&with_query(&self.url, &parameters)?, &headers, hold).await?;
        let retry_after = retry_after(response.headers());
        let page = match response.status() {
            StatusCode::OK => {
                let etag = response.headers().get(header::ETAG).cloned();
                let body = response.into_body().collect(self.client.config().max_answer_bytes).await?;
                let page = Page::parse(&body)?;
                self.etag = etag;
                Some(page)
            }
            StatusCode::NOT_MODIFIED if self.etag.is_some() => None,
            _ => return Err(refused(response).await),
        };
        Ok(Answer { page, retry_after, took: asked.elapsed() })
    }

    fn accept(&mut self, answer: Answer) {
        let Answer { page, retry_after, took } = answer;
        let more = page.as_ref().is_some_and(|page| page.more);
        let mut has_news = false;
        if let Some(page) = page {
            self.after = Some(page.cursor);
            self.is_over = page.done;
            self.ready.extend(page.gap.map(Update::Gap));
            self.ready.extend(page.events.into_iter().map(Update::Event));
            has_news = !self.ready.is_empty();
        }
        let was_in_order = match self.pace {
            Pace::Now => has_news || !more,
            Pace::Hold(_) => has_news || took >= HELD,
        };
        if was_in_order {
            self.backoff.succeeded();
        }
        self.pause = match retry_after {
            Some(pause) if has_news || !pause.is_zero() => pause,
            // Something between here and there answers for the server and never waits. Don't run in circles.
            _ if !was_in_order => self.backoff.pause(),
            _ => match self.pace {
                Pace::Now if !more => self.client.config().interval,
                Pace::Now | Pace::Hold(_) => Duration::ZERO,
            },
        };
    }
}
