//! Messages that are published and not yet confirmed, in their order.

use std::{collections::VecDeque, time::Duration};

use lapin::Confirmation;
use tidings_core::Cursor;
use tokio::time::Instant;

use crate::fault::{Fault, Unkept};

/// Messages that are published and not yet confirmed. Whatever order the broker confirms them in, they leave in the
/// order in which they were published, so that a place is only passed once all before it is told.
///
/// After a refusal it is one message wide, and one wider with each that is confirmed (as in the slow start of RFC 5681,
/// 3.1). What one queue refuses the others get, and get again: so with each try that is one message, and besides at most
/// as many as were confirmed.
#[derive(Debug)]
pub(crate) struct Window<F> {
    pending: VecDeque<Pending<F>>,
    size: usize,
    /// The size without a refusal.
    most: usize,
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
        let most = size.max(1);
        Self { pending: VecDeque::new(), size: most, most, limit }
    }

    /// Has to follow a refusal: all messages have to be published again, the first of them alone. Waits until the broker
    /// has said something of each.
    pub(crate) async fn narrow(&mut self) -> Result<(), Fault> {
        self.size = 1;
        while let Some(oldest) = self.pending.front_mut() {
            oldest.answer(self.limit).await?;
            self.pending.pop_front();
        }
        Ok(())
    }

    /// Whether it is as wide as without a refusal.
    pub(crate) fn is_wide(&self) -> bool {
        self.size == self.most
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
        let answer = oldest.answer(self.limit).await?;
        let (through, confirmed) = (oldest.through, answer.is_some());
        self.pending.pop_front();
        let route = match answer {
            None | Some(Confirmation::Ack(None)) => Route::Found,
            Some(Confirmation::Ack(Some(_))) => Route::None,
            // A channel that does not confirm is none that promises anything.
            Some(Confirmation::Nack(_) | Confirmation::NotRequested) => return Err(Fault::Refused(Unkept::Event)),
        };
        if confirmed {
            self.size = (self.size + 1).min(self.most);
        }
        Ok(Told { through, route })
    }
}

impl<F: Future<Output = lapin::Result<Confirmation>> + Unpin> Pending<F> {
    /// What the broker says, where there is a message. Cancel safe, and not to be asked again after an answer.
    async fn answer(&mut self, limit: Duration) -> Result<Option<Confirmation>, Fault> {
        let Some(confirm) = &mut self.confirm else { return Ok(None) };
        match tokio::time::timeout_at(self.published + limit, confirm).await {
            Ok(answer) => Ok(Some(answer?)),
            Err(_) => Err(Fault::Silent { doing: "confirm an event", within: limit }),
        }
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
    async fn a_message_that_is_refused_is_not_passed_and_neither_are_those_after_it() {
        let mut window = window();
        let (first, second) = (publish(&mut window, 1), publish(&mut window, 2));
        first.send(Confirmation::Nack(None)).expect("waited for");
        assert!(matches!(window.told().await, Err(Fault::Refused(_))));
        assert!(window.narrow().now_or_never().is_none());
        second.send(Confirmation::Ack(None)).expect("waited for");
        window.narrow().await.expect("answered");
        assert!(window.is_empty() && window.told().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_it_grows_with_what_is_confirmed() {
        let mut window = Window::new(3, LIMIT);
        assert!(window.is_wide());
        window.narrow().await.expect("nothing to wait for");
        for size in [1, 2, 3, 3] {
            assert_eq!(window.is_wide(), size == 3);
            let mut confirms = VecDeque::new();
            while !window.is_full() {
                confirms.push_back(publish(&mut window, 1));
            }
            assert_eq!(confirms.len(), size);
            // It grows by the one that is confirmed; the others are given up.
            confirms.pop_front().expect("one").send(Confirmation::Ack(None)).expect("waited for");
            window.told().await.expect("confirmed");
            window.pending.clear();
        }
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
