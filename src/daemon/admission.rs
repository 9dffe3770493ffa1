//! Whether tasks are started at all: `pause`, `resume`, `drain`. Kept in the database,
//! so that a restart does not open what a person has closed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::protocol::request::Admission;
use crate::queue::Closed;
use crate::store::{Store, StoreError};

const QUEUE: &str = "admission.queue";
const PROVIDERS: &str = "admission.paused_providers";

#[derive(Debug, Default)]
struct State {
    closed: Option<Closed>,
    paused: BTreeSet<String>,
}

/// The switch.
#[derive(Debug)]
pub(crate) struct Switch {
    state: Mutex<State>,
    /// Held while it is turned: one change is stored and in force before the next begins.
    turning: tokio::sync::Mutex<()>,
}

impl Switch {
    /// As it was left.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let closed = match store.preference(QUEUE).await?.as_deref() {
            Some("paused") => Some(Closed::Paused),
            Some("draining") => Some(Closed::Draining),
            _ => None,
        };
        let paused = store.preference(PROVIDERS).await?.unwrap_or_default();
        let paused = paused.split_terminator('\n').map(str::to_owned).collect();
        Ok(Switch { state: Mutex::new(State { closed, paused }), turning: tokio::sync::Mutex::default() })
    }

    /// Turns it, durably.
    pub async fn turn(&self, store: &Store, change: Admission, provider: Option<String>) -> Result<(), StoreError> {
        let _turning = self.turning.lock().await;
        if let Some(provider) = provider {
            let mut paused = self.lock().paused.clone();
            match change {
                Admission::Resume => paused.remove(&provider),
                Admission::Pause | Admission::Drain => paused.insert(provider),
            };
            let text: String = paused.iter().map(|p| format!("{p}\n")).collect();
            store.set_preference(PROVIDERS, text).await?;
            self.lock().paused = paused;
            return Ok(());
        }
        let (closed, text) = match change {
            Admission::Pause => (Some(Closed::Paused), "paused"),
            Admission::Drain => (Some(Closed::Draining), "draining"),
            Admission::Resume => (None, "open"),
        };
        store.set_preference(QUEUE, text.to_owned()).await?;
        self.lock().closed = closed;
        Ok(())
    }

    pub fn closed(&self) -> Option<Closed> {
        self.lock().closed
    }

    pub fn paused_providers(&self) -> Vec<String> {
        self.lock().paused.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
