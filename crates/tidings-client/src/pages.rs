//! The loop that short and long polling share: ask for a page, hand out what it holds, ask again.

use std::{collections::VecDeque, error::Error as _, mem, time::Duration};

use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use tidings_core::Cursor;
use tokio::time::{Instant, sleep};

use crate::{
    answer::{refused, retry_after},
    backoff::Backoff,
    error::{Error, ErrorKind},
    follower::Source,
    http_client::{Body, HttpClient},
    page::Page,
    update::{Run, Turn, Update},
    url::{parameter, with_query},
};

/// An answer without news that came sooner than this was not held, whatever was asked for.
const HELD: Duration = Duration::from_millis(500);

/// As many events as a server puts into a page where nobody says how many.
const PAGE: u32 = 1000;

/// How often the server is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// From time to time, for what is there by then.
    Now,
    /// At once after each answer, to be answered when there is news or this time has passed.
    Hold(Duration),
}

/// A job's updates, page by page, for as long as it takes.
#[derive(Debug)]
pub(crate) struct Polling {
    pages: Pages,
    run: Run,
    /// What the last page held and nobody has taken yet.
    ready: VecDeque<Update>,
    is_over: bool,
    /// How long to wait after a failure.
    pause: Duration,
    backoff: Backoff,
}

/// Asks for a job's pages, one after another.
#[derive(Debug)]
pub(crate) struct Pages {
    client: HttpClient,
    url: Uri,
    pace: Pace,
    after: Option<Cursor>,
    /// What names the last page, where the server gave it a name.
    etag: Option<HeaderValue>,
    size: PageSize,
    /// Whether the next page is not to be held, whatever the pace, as it is to show that pages get through.
    is_trial: bool,
    /// How long an answer may take, beyond the time that it asks to be held.
    patience: Duration,
    /// How long to wait before the next request, as the last answer has it.
    pause: Duration,
    /// Counts the answers in a row that did not wait.
    circles: Backoff,
}

/// How many events a page may hold: half as many after a page that was cut, and twice as many after one that was full.
#[derive(Clone, Copy, Debug)]
struct PageSize {
    now: u32,
    most: u32,
    was_halved: bool,
}

/// An answer that is as it should be.
struct Answer {
    /// `None` where nothing is new.
    page: Option<Page>,
    retry_after: Option<Duration>,
    took: Duration,
}

impl Polling {
    pub(crate) fn new(client: &HttpClient, url: Uri, after: Option<Cursor>, pace: Pace) -> Self {
        Self {
            pages: Pages::new(client, url, after, pace),
            run: Run::new(after),
            ready: VecDeque::new(),
            is_over: false,
            pause: Duration::ZERO,
            backoff: Backoff::new(client.config()),
        }
    }
}

impl Source for Polling {
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
            match self.pages.next().await {
                Ok(turn) => {
                    self.backoff.succeeded();
                    self.ready.extend(turn.updates);
                    self.is_over = turn.is_over;
                }
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
            circles: Backoff::new(client.config()),
            size: PageSize::new(parameter(&url, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE)),
            patience: client.config().answer_timeout,
            client: client.clone(),
            url,
            pace,
            after,
            etag: None,
            is_trial: false,
            pause: Duration::ZERO,
        }
    }

    /// The same, for whoever has another way to go on: it shows soon whether pages get through. The first one is not
    /// held, and an answer may be no later than the first byte of a stream. After one that is, the next may take twice as
    /// long, in case there is no other way after all.
    pub(crate) fn on_trial(self) -> Self {
        let config = self.client.config();
        let patience = config.first_byte_timeout.min(config.answer_timeout);
        Self { is_trial: true, patience, ..self }
    }

    /// Waits as long as the last answer asked for, and asks for the next page.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; where another try may help, it is the next call.
    pub(crate) async fn next(&mut self) -> Result<Turn, Error> {
        sleep(mem::take(&mut self.pause)).await;
        let answer = self.ask().await?;
        Ok(self.accept(answer))
    }

    /// Whether the last page was cut, and the next one is asked for with fewer events.
    pub(crate) fn was_halved(&self) -> bool {
        self.size.was_halved
    }

    async fn ask(&mut self) -> Result<Answer, Error> {
        self.size.was_halved = false;
        let after = self.after.map(|cursor| cursor.to_string());
        let mut parameters: Vec<(&str, &str)> = after.iter().map(|cursor| ("after", cursor.as_str())).collect();
        let wait;
        let hold = match self.pace {
            Pace::Now => Duration::ZERO,
            Pace::Hold(hold) => {
                let hold = if self.is_trial { Duration::ZERO } else { hold };
                wait = hold.as_secs().to_string();
                parameters.push(("wait", &wait));
                hold
            }
        };
        let limit = self.size.as_parameter();
        parameters.extend(limit.iter().map(|limit| ("limit", limit.as_str())));
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(etag) = &self.etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }

        let asked = Instant::now();
        let url = with_query(&self.url, &parameters)?;
        let response = self.client.get(&url, &headers, self.patience.saturating_add(hold)).await;
        if response.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout) {
            self.patience = self.patience.saturating_mul(2).min(self.client.config().answer_timeout);
        }
        let response = response?;
        let retry_after = retry_after(response.headers());
        let page = match response.status() {
            StatusCode::OK => {
                let page = read(response, self.client.config().max_answer_bytes).await;
                if page.as_ref().is_err_and(Error::is_temporary) {
                    self.size.halve();
                }
                let (page, etag) = page?;
                self.etag = etag;
                Some(page)
            }
            StatusCode::NOT_MODIFIED if self.etag.is_some() => None,
            _ => return Err(refused(response).await),
        };
        Ok(Answer { page, retry_after, took: asked.elapsed() })
    }

    fn accept(&mut self, answer: Answer) -> Turn {
        let Answer { page, retry_after, took } = answer;
        let more = page.as_ref().is_some_and(|page| page.more);
        let mut turn = Turn::default();
        if let Some(page) = page {
            self.after = Some(page.cursor);
            turn.cursor = self.after;
            turn.is_over = page.done;
            turn.updates.extend(page.gap.map(Update::Gap));
            turn.updates.extend(page.events.into_iter().map(Update::Event));
        }
        if more {
            self.size.double();
        }
        let has_news = !turn.updates.is_empty();
        let was_trial = mem::take(&mut self.is_trial);
        let was_in_order = match self.pace {
            Pace::Now => has_news || !more,
            Pace::Hold(_) => has_news || was_trial || took >= HELD,
        };
        if was_in_order {
            self.circles.succeeded();
        }
        self.pause = match retry_after {
            Some(pause) if has_news || !pause.is_zero() => pause,
            // Something between here and there answers for the server and never waits. Don't run in circles.
            _ if !was_in_order => self.circles.pause(),
            _ => match self.pace {
                Pace::Now if !more => self.client.config().interval,
                Pace::Now | Pace::Hold(_) => Duration::ZERO,
            },
        };
        turn
    }
}

impl PageSize {
    fn new(most: u32) -> Self {
        Self { now: most, most, was_halved: false }
    }

    fn halve(&mut self) {
        self.was_halved = self.now > 1;
        self.now = (self.now / 2).max(1);
    }

    fn double(&mut self) {
        self.now = self.now.saturating_mul(2).min(self.most);
    }

    /// Where it is not what the server or the URL has anyway.
    fn as_parameter(self) -> Option<String> {
        (self.now != self.most).then(|| self.now.to_string())
    }
}

/// Reads a page and its name. One that was cut is an error that is temporary.
async fn read(response: Response<Body>, max_bytes: usize) -> Result<(Page, Option<HeaderValue>), Error> {
    let (head, body) = response.into_parts();
    let body = body.collect(max_bytes).await?;
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let ends_with_its_connection = !framing.iter().any(|name| head.headers.contains_key(name));
    match Page::parse(&body) {
        // Such a body can't be seen to be cut but by its content (RFC 9112, 8).
        Err(error) if ends_with_its_connection && ends_early(&error) => {
            Err(Error::new(ErrorKind::Disconnected, "the connection ended in the middle of a page").with_source(error))
        }
        page => Ok((page?, head.headers.get(header::ETAG).cloned())),
    }
}

/// Whether what is wrong with a page is that there is no more of it.
fn ends_early(error: &Error) -> bool {
    error.source().and_then(|source| source.downcast_ref()).is_some_and(serde_json::Error::is_eof)
}
