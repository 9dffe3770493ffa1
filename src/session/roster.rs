//! Which sessions live, and the one ordered queue of orders to each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::protocol::keeper::{How, KeeperStatus};
use crate::protocol::view::SessionState;

/// An order to a session. The attendant of the session passes them on in the order in
/// which they were given, whether its keeper is ready yet or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// End it.
    Stop(How),
    /// Freeze it, or let it run on.
    Freeze(bool),
    /// Ask its keeper once more, should it not answer.
    Look,
}

/// What is known of a live session beyond its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The session's name; it may change.
    pub name: SessionName,
    /// How it is.
    pub state: SessionState,
    /// The keeper's process id: once it is ready, or as soon as it is known which one to
    /// meet again.
    pub keeper_pid: Option<u32>,
    /// The keeper's version.
    pub keeper_version: Option<String>,
    /// The program's process id, while it runs.
    pub pid: Option<u32>,
    /// What the keeper last said.
    pub status: KeeperStatus,
}

#[derive(Debug)]
struct Entry {
    live: Live,
    orders: mpsc::UnboundedSender<Order>,
}

/// All live sessions. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<Mutex<HashMap<Uid, Entry>>>);

impl Roster {
    /// Enters a session whose keeper is about to be made or met. The receiver belongs to
    /// its attendant.
    pub fn enter(&self, name: &SessionName, uid: Uid) -> mpsc::UnboundedReceiver<Order> {
        // Not bounded: orders come from people and are few, and none may be dropped.
        let (orders, receiver) = mpsc::unbounded_channel();
        let live = Live {
            name: name.clone(),
            state: SessionState::Starting,
            keeper_pid: None,
            keeper_version: None,
            pid: None,
            status: KeeperStatus::default(),
        };
        self.lock().insert(uid, Entry { live, orders });
        receiver
    }

    /// Takes a session off.
    pub fn leave(&self, uid: Uid) {
        self.lock().remove(&uid);
    }

    /// Gives an order to an attempt's session, whose name nobody else ever has; `false`
    /// when it does not live.
    pub fn order_attempt(&self, attempt: AttemptId, order: Order) -> bool {
        let name = attempt.session();
        self.lock().values().any(|entry| entry.live.name == name && entry.orders.send(order).is_ok())
    }

    /// Gives an order to the session of a task's current attempt; `false` when none lives.
    pub fn order_task(&self, task: TaskId, order: Order) -> bool {
        let is_its = |name: &SessionName| name.attempt().is_some_and(|attempt| attempt.task == task);
        self.lock().values().any(|entry| is_its(&entry.live.name) && entry.orders.send(order).is_ok())
    }

    /// Gives an order to a session; `false` when it does not live.
    pub fn order(&self, uid: Uid, order: Order) -> bool {
        self.lock().get(&uid).is_some_and(|entry| entry.orders.send(order).is_ok())
    }

    /// Changes what is known of a session.
    pub fn update(&self, uid: Uid, change: impl FnOnce(&mut Live)) {
        if let Some(entry) = self.lock().get_mut(&uid) {
            change(&mut entry.live);
        }
    }

    /// What is known of a session.
    pub fn get(&self, uid: Uid) -> Option<Live> {
        self.lock().get(&uid).map(|entry| entry.live.clone())
    }

    /// All live sessions.
    pub fn all(&self) -> Vec<(Uid, SessionName)> {
        self.lock().iter().map(|(uid, entry)| (*uid, entry.live.name.clone())).collect()
    }

    /// The session that this process keeps.
    pub fn kept_by(&self, keeper: u32) -> Option<(Uid, SessionName)> {
        let all = self.lock();
        let found = all.iter().find(|(_, entry)| entry.live.keeper_pid == Some(keeper));
        found.map(|(uid, entry)| (*uid, entry.live.name.clone()))
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// None lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, Entry>> {
        // A panic while holding it cannot leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
