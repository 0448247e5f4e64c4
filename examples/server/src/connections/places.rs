//! Counts connections, all of them and those of each address.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    num::NonZeroUsize,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places that there are for connections.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    of_one_address: Option<NonZeroUsize>,
    /// How many each address has; who has none is not in it.
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    pub(super) fn new(all: NonZeroUsize, of_one_address: Option<NonZeroUsize>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all.get().min(Semaphore::MAX_PERMITS))),
            of_one_address,
            taken: Arc::default(),
        }
    }

    /// Waits until there is room for one more connection.
    pub(super) async fn room(&self) -> Room {
        match Arc::clone(&self.free).acquire_owned().await {
            Ok(permit) => Room(permit),
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives the room to a client, unless its address has as many places as it may have.
    pub(super) fn take(&self, room: Room, address: IpAddr) -> Option<Place> {
        // An IPv4 client is the same one whether it comes over an IPv6 socket or not.
        let address = address.to_canonical();
        let mut taken = self.taken.lock();
        let count = taken.entry(address).or_default();
        if self.of_one_address.is_some_and(|most| *count >= most.get()) {
            return None;
        }
        *count += 1;
        Some(Place { _room: room, address, taken: Arc::clone(&self.taken) })
    }
}

/// Room for one connection.
#[derive(Debug)]
pub(super) struct Room(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _room: Room,
    address: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.taken.lock().entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    #[tokio::test]
    async fn an_address_has_only_so_many_places_and_leaves_no_trace() {
        let places = Places::new(ONE.saturating_add(9), Some(ONE));
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = places.take(places.room().await, here).expect("the first");
        let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xFFFF, 0x7F00, 1]);
        assert!(places.take(places.room().await, mapped).is_none());
        let other = places.take(places.room().await, there).expect("another's");
        drop((first, other));
        assert!(places.taken.lock().is_empty());
        assert_eq!(places.free.available_permits(), 10);
    }
}
