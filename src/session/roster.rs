//! Which sessions live, and the one ordered queue of orders to each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::protocol::keeper::{How, KeeperStatus, Usage};
use crate::protocol::view::SessionState;

/// Keepers say within this what their sessions use, or what they said before is shown.
const MEASURE_LIMIT: Duration = Duration::from_millis(250);

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
    /// Ask its keeper what its processes use.
    Measure,
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
    /// The keeper can say what the processes use.
    pub measures: bool,
    /// What they used when it last said so, and when that was.
    pub usage: Option<(Usage, Instant)>,
}

#[derive(Debug)]
struct Entry {
    live: Live,
    orders: mpsc::UnboundedSender<Order>,
}

/// All live sessions. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<HashMap<Uid, Entry>>,
    /// A keeper has said what its session uses, or a session has left.
    measured: Notify,
}

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
            measures: false,
            usage: None,
        };
        self.lock().insert(uid, Entry { live, orders });
        receiver
    }

    /// Takes a session off.
    pub fn leave(&self, uid: Uid) {
        self.lock().remove(&uid);
        self.0.measured.notify_waiters();
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

    /// A keeper has said what its session uses.
    pub fn measured(&self, uid: Uid, usage: Usage) {
        self.update(uid, |live| live.usage = Some((usage, Instant::now())));
        self.0.measured.notify_waiters();
    }

    /// Has the keepers of these sessions say what they use. One that does not in time, or
    /// cannot, is not waited for.
    pub async fn measure(&self, sessions: impl IntoIterator<Item = Uid>) {
        let begun = Instant::now();
        let asked = |uid: &Uid| {
            let all = self.lock();
            all.get(uid).is_some_and(|entry| entry.live.measures && entry.orders.send(Order::Measure).is_ok())
        };
        let mut open: Vec<Uid> = sessions.into_iter().filter(asked).collect();
        let all_said = async {
            loop {
                let said = self.0.measured.notified();
                tokio::pin!(said);
                // From here on nothing is missed.
                said.as_mut().enable();
                open.retain(|uid| self.get(*uid).is_some_and(|live| live.usage.is_none_or(|(_, at)| at < begun)));
                if open.is_empty() {
                    return;
                }
                said.await;
            }
        };
        // What was said in time is there.
        drop(timeout(MEASURE_LIMIT, all_said).await);
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
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
