//! Messages that are published and not yet confirmed, in their order.

use std::{collections::VecDeque, time::Duration};

use lapin::Confirmation;
use tidings_core::Cursor;
use tokio::time::Instant;

use crate::fault::{Fault, Unkept};

/// Messages that are published and not yet confirmed. Whatever order the broker confirms them in, they leave in the
/// order in which they were published, so that a place is only passed once all before it is told.
#[derive(Debug)]
pub(crate) struct Window<F> {
    pending: VecDeque<Pending<F>>,
    size: usize,
    /// How long the broker may take to confirm a message.
    limit: Duration,
}

#[derive(Debug)]
struct Pending<F> {
    /// What the broker will say. Nothing for a place without a message.
    confirm: Option<F>,
    /// The place in the log that is reached with it.
    through: Option<Cursor>,
    published: Instant,
}

/// A message that the broker has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The place in the log that is reached with it.
    pub(crate) through: Option<Cursor>,
    pub(crate) route: Route,
}

/// Whether a message has got anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To one queue at least.
    Found,
    /// No queue is bound for it: the broker has returned it.
    None,
}

impl<F: Future<Output = lapin::Result<Confirmation>> + Unpin> Window<F> {
    pub(crate) fn new(size: usize, limit: Duration) -> Self {
        Self { pending: VecDeque::new(), size: size.max(1), limit }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= self.size
    }

    /// Adds a message that was published just now, and the place that is reached with it.
    pub(crate) fn push(&mut self, confirm: F, through: Option<Cursor>) {
        self.pending.push_back(Pending { confirm: Some(confirm), through, published: Instant::now() });
    }

    /// Adds a place that is reached with all messages before it.
    pub(crate) fn push_place(&mut self, through: Cursor) {
        self.pending.push_back(Pending { confirm: None, through: Some(through), published: Instant::now() });
    }

    /// Waits until the oldest message is confirmed; for ever where there is none. Cancel safe.
    pub(crate) async fn told(&mut self) -> Result<Told, Fault> {
        let Some(oldest) = self.pending.front_mut() else { return std::future::pending().await };
        let route = match &mut oldest.confirm {
            None => Route::Found,
            Some(confirm) => match tokio::time::timeout_at(oldest.published + self.limit, confirm).await {
                Ok(Ok(Confirmation::Ack(None))) => Route::Found,
                Ok(Ok(Confirmation::Ack(Some(_)))) => Route::None,
                // A channel that does not confirm is none that promises anything.
                Ok(Ok(Confirmation::Nack(_) | Confirmation::NotRequested)) => {
                    return Err(Fault::Refused(Unkept::Event));
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(Fault::Silent { doing: "confirm an event", within: self.limit }),
            },
        };
        let through = oldest.through;
        self.pending.pop_front();
        Ok(Told { through, route })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::BoxFuture};
    use tokio::sync::oneshot;

    use super::*;

    type Confirm = BoxFuture<'static, lapin::Result<Confirmation>>;

    const LIMIT: Duration = Duration::from_secs(30);

    fn window() -> Window<Confirm> {
        Window::new(2, LIMIT)
    }

    fn publish(window: &mut Window<Confirm>, position: u64) -> oneshot::Sender<Confirmation> {
        let (sender, receiver) = oneshot::channel();
        let confirm = async { Ok(receiver.await.expect("confirmed")) };
        window.push(confirm.boxed(), Some(Cursor::unchecked(position)));
        sender
    }

    fn place(told: Option<Result<Told, Fault>>) -> Option<u64> {
        told?.ok()?.through.map(Cursor::number)
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_passed_once_all_before_it_is_confirmed() {
        let mut window = window();
        let (first, second) = (publish(&mut window, 1), publish(&mut window, 2));
        assert!(window.is_full());
        second.send(Confirmation::Ack(None)).expect("waited for");
        assert!(window.told().now_or_never().is_none());
        first.send(Confirmation::Ack(None)).expect("waited for");
        window.push_place(Cursor::unchecked(5));
        assert_eq!(place(window.told().now_or_never()), Some(1));
        assert_eq!(place(window.told().now_or_never()), Some(2));
        assert_eq!(place(window.told().now_or_never()), Some(5));
        assert!(window.is_empty() && window.told().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_refused_is_not_passed() {
        let mut window = window();
        let (first, _second) = (publish(&mut window, 1), publish(&mut window, 2));
        first.send(Confirmation::Nack(None)).expect("waited for");
        assert!(matches!(window.told().await, Err(Fault::Refused(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_broker_is_not_waited_for_for_ever() {
        let mut window = window();
        let _first = publish(&mut window, 1);
        let begun = Instant::now();
        assert!(matches!(window.told().await, Err(Fault::Silent { .. })));
        assert_eq!(begun.elapsed(), LIMIT);
    }
}
