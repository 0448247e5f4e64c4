//! A poller for any request.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    deadline,
    error::{BoxError, Error, ErrorKind},
};

/// Calls `f` over and over until it has a result, is cancelled, or time is up.
///
/// The first call is made at once. When a call has ended, however it ended, `interval` passes before the next: so there
/// are never two calls at once, and a slow answer puts the next question off.
///
/// `f` gets the handle that cancels the polling, and returns
///
/// - `Ok(Some(result))` to end it with that result,
/// - `Ok(None)` to be called again,
/// - `Err(error)` to be called again as well: one request that failed is no reason to stop asking. Where time is up and
///   the last call had failed, its error is the source of the one returned.
///
/// # What ends it
///
/// - A result: `Ok(Some(result))`.
/// - `cancel`, by `f` or by anybody who holds the token: `Ok(None)`. The pause is cut short, and a call in flight is
///   dropped where it next waits; one that cancels and then returns a result without waiting in between still ends with
///   that result.
/// - `timeout`, counted from the first poll of this future; `None` sets no limit. A call in flight is dropped then.
/// - Dropping the future, which drops a call in flight and makes no other. A panic in `f` goes through to the caller.
///
/// # Errors
///
/// [`ErrorKind::Timeout`], and nothing else.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tidings_client::{CancellationToken, poll};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut percent = 0;
/// let answer = poll(Duration::from_millis(1), Duration::from_secs(5), CancellationToken::new(), |_cancel| {
///     percent += 50;
///     async move { Ok::<_, std::io::Error>((percent == 100).then_some("built")) }
/// });
/// assert_eq!(answer.await.unwrap(), Some("built"));
/// # });
/// ```
pub async fn poll<T, E, F, Fut>(
    interval: Duration,
    timeout: impl Into<Option<Duration>>,
    cancel: CancellationToken,
    mut f: F,
) -> Result<Option<T>, Error>
where
    F: FnMut(CancellationToken) -> Fut,
    Fut: Future<Output = Result<Option<T>, E>>,
    E: Into<BoxError>,
{
    let deadline = timeout.into().and_then(|timeout| deadline::after(Instant::now(), timeout));
    let mut last_error = None;

    let calls = async {
        while !cancel.is_cancelled() {
            match f(cancel.clone()).await {
                Ok(Some(result)) => return Some(result),
                Ok(None) => last_error = None,
                Err(error) => last_error = Some(error),
            }
            sleep(interval).await;
        }
        None
    };

    // The calls come first, so that a result is not lost to a deadline or a cancellation of the same moment.
    tokio::select! {
        biased;
        result = calls => return Ok(result),
        () = cancel.cancelled() => return Ok(None),
        () = deadline::reached(deadline) => {}
    }
    let error = Error::new(ErrorKind::Timeout, "polling ended without a result in time");
    Err(match last_error {
        Some(source) => error.with_source(source),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, error::Error as _, io};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_first_call_is_immediate_and_the_interval_runs_from_the_end_of_a_call() {
        let start = Instant::now();
        let mut called_at = Vec::new();
        let result = poll(10 * SECOND, None, CancellationToken::new(), |_| {
            called_at.push(start.elapsed().as_secs());
            let done = called_at.len() == 3;
            async move {
                sleep(4 * SECOND).await;
                Ok::<_, io::Error>(done.then_some("done"))
            }
        });
        assert_eq!(result.await.expect("no limit was set"), Some("done"));
        assert_eq!(called_at, [0, 14, 28]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_call_is_followed_by_another() {
        let mut calls = 0;
        let result = poll(SECOND, None, CancellationToken::new(), |_| {
            calls += 1;
            std::future::ready(if calls < 4 { Err("not yet") } else { Ok(Some(calls)) })
        });
        assert_eq!(result.await.expect("no limit was set"), Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn the_call_ends_the_polling_by_cancelling() {
        for interval in [Duration::ZERO, SECOND] {
            let mut calls = 0;
            let result = poll(interval, None, CancellationToken::new(), |cancel| {
                calls += 1;
                if calls == 2 {
                    cancel.cancel();
                }
                std::future::ready(Ok::<Option<()>, io::Error>(None))
            });
            assert_eq!(result.await.expect("no limit was set"), None);
            assert_eq!(calls, 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_survives_cancelling_in_the_same_call() {
        let result = poll(SECOND, None, CancellationToken::new(), |cancel| async move {
            cancel.cancel();
            Ok::<_, io::Error>(Some(7))
        });
        assert_eq!(result.await.expect("no limit was set"), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_from_outside_drops_the_call_in_flight_and_cuts_the_pause() {
        let start = Instant::now();
        for call_takes in [Duration::ZERO, 1000 * SECOND] {
            let cancel = CancellationToken::new();
            let begun = Instant::now();
            let polling = poll(100 * SECOND, None, cancel.clone(), |_| async move {
                sleep(call_takes).await;
                Ok::<Option<()>, io::Error>(None)
            });
            let (result, ()) = tokio::join!(polling, async {
                sleep(3 * SECOND).await;
                cancel.cancel();
            });
            assert_eq!(result.expect("no limit was set"), None);
            assert_eq!(begun.elapsed(), 3 * SECOND);
        }
        assert_eq!(start.elapsed(), 6 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_called_once_it_is_cancelled() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let result = poll(SECOND, None, cancel, |_| -> std::future::Ready<Result<Option<()>, io::Error>> {
            unreachable!("it was cancelled before it began")
        });
        assert_eq!(result.await.expect("no limit was set"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_ends_it_with_the_last_error_as_source() {
        let start = Instant::now();
        let result = poll(SECOND, 5 * SECOND, CancellationToken::new(), |_| async { Err::<Option<()>, _>("away") });
        let error = result.await.expect_err("it never has a result");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("away"));
        assert_eq!(start.elapsed(), 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_ends_a_call_that_hangs() {
        let result = poll(SECOND, 5 * SECOND, CancellationToken::new(), |_| {
            std::future::pending::<Result<Option<()>, io::Error>>()
        });
        assert_eq!(result.await.expect_err("it hangs").kind(), ErrorKind::Timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_two_calls_at_once_and_dropping_stops_it() {
        struct Running<'a>(&'a Cell<u32>);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        let (running, calls) = (&Cell::new(0), &Cell::new(0));
        let polling = poll(Duration::from_millis(1), None, CancellationToken::new(), |_| async move {
            calls.set(calls.get() + 1);
            running.set(running.get() + 1);
            let _running = Running(running);
            assert_eq!(running.get(), 1);
            sleep(SECOND).await;
            Ok::<Option<()>, io::Error>(None)
        });
        tokio::time::timeout(Duration::from_millis(10_500), polling).await.expect_err("it goes on until it is dropped");
        assert_eq!(running.get(), 0, "the call in flight is dropped with the polling");
        let so_far = calls.get();
        assert!(so_far > 5);
        sleep(100 * SECOND).await;
        assert_eq!(calls.get(), so_far);
    }
}
