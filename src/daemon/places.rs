//! Who may be connected at a time. A connection that asks for nothing keeps nobody out:
//! when all places are taken, the one that has been idle longest makes room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Places for so many connections.
#[derive(Debug)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    free: usize,
    /// Places of idle connections, by when they became so, and how to tell them that theirs
    /// is another's.
    idle: BTreeMap<u64, Arc<Notify>>,
    /// Counts how often one became idle.
    turn: u64,
}

/// A connection's place. It is idle first.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<Mutex<Taken>>,
    /// Since when it is idle.
    idle: Option<u64>,
    given_away: Arc<Notify>,
}

impl Places {
    pub fn new(count: usize) -> Places {
        Places(Arc::new(Mutex::new(Taken { free: count, idle: BTreeMap::new(), turn: 0 })))
    }

    /// A place, if need be that of another; `None` when all others are being served.
    pub fn take(&self) -> Option<Place> {
        let mut taken = lock(&self.0);
        match taken.free.checked_sub(1) {
            Some(free) => taken.free = free,
            None => taken.idle.pop_first()?.1.notify_one(),
        }
        drop(taken);
        let mut place = Place { taken: Arc::clone(&self.0), idle: None, given_away: Arc::default() };
        place.rest();
        Some(place)
    }
}

impl Place {
    /// From now on another may have it.
    pub fn rest(&mut self) {
        let mut taken = lock(&self.taken);
        let turn = taken.turn;
        taken.turn += 1;
        taken.idle.insert(turn, Arc::clone(&self.given_away));
        self.idle = Some(turn);
    }

    /// From now on nobody else may have it; `false` when somebody has it already.
    pub fn work(&mut self) -> bool {
        let Some(turn) = self.idle else { return true };
        let kept = lock(&self.taken).idle.remove(&turn).is_some();
        if kept {
            self.idle = None;
        }
        kept
    }

    /// Ends when somebody else has got it.
    pub async fn given_away(&self) {
        self.given_away.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if self.idle.is_none_or(|turn| taken.idle.remove(&turn).is_some()) {
            taken.free += 1;
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_makes_room_and_who_is_served_stays() {
        let places = Places::new(2);
        let (mut one, mut two) = (places.take().unwrap(), places.take().unwrap());
        assert!(one.work() && two.work());
        assert!(places.take().is_none());
        two.rest();
        one.rest();
        let three = places.take().unwrap();
        two.given_away().await;
        assert!(!two.work() && one.work());
        drop(two);
        drop(three);
        let (_four, five) = (places.take().unwrap(), places.take());
        assert!(five.is_some(), "an idle one has made room");
        assert_eq!(lock(&places.0).free, 0);
        drop((one, _four, five));
        let taken = lock(&places.0);
        assert_eq!((taken.free, taken.idle.len()), (2, 0));
    }
}
