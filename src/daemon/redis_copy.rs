//! The copy in Redis, if there is to be one: nothing of it exists until the settings ask
//! for it.

use std::sync::{Arc, Mutex, PoisonError};

use super::Daemon;
use super::handlers::fault;
use crate::clock::{Span, Timestamp};
use crate::live::{Relay, Target};
use crate::protocol::request::RedisAsk;
use crate::protocol::view::{RedisState, RedisView};
use crate::protocol::{Fault, Reply};

/// Holds the relay, once there is one.
#[derive(Debug, Default)]
pub(crate) struct RedisCopy(Mutex<Option<Arc<Relay>>>);

impl RedisCopy {
    fn relay(&self) -> Option<Arc<Relay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Daemon {
    /// Brings the relay in line with the settings in force.
    pub fn settle_redis(&self) {
        let target = Target::of(&self.settings.redis());
        let mut relay = self.redis.0.lock().unwrap_or_else(PoisonError::into_inner);
        match relay.as_ref() {
            Some(relay) => relay.set_target(target),
            None if target == Ok(None) => {}
            None => match Relay::start(self.store.clone(), &self.paths.state, target) {
                Ok(started) => *relay = Some(Arc::new(started)),
                // Everything else works the same without it.
                Err(error) => tracing::error!(%error, "nothing is copied to Redis"),
            },
        }
    }

    /// How it stands with the copy; `last` is the last entry of the history.
    pub async fn redis_view(&self, last: i64) -> Result<RedisView, Fault> {
        let Some(relay) = self.redis.relay() else { return Ok(RedisView::default()) };
        let mut view = relay.view();
        if view.state == RedisState::Off {
            return Ok(view);
        }
        let Some(seq) = view.seq else {
            // Nothing is there that can be relied on.
            view.behind = u64::try_from(last).unwrap_or(0);
            return Ok(view);
        };
        view.behind = u64::try_from(last - seq).unwrap_or(0);
        if view.behind > 0 {
            let next = self.store.entries(seq, 1).await.map_err(fault)?;
            view.behind_for = next.first().map(|next| Span(Timestamp::now().since(next.at)));
        }
        Ok(view)
    }
}

/// `autodev redis`.
pub(super) async fn on_request(daemon: &Arc<Daemon>, ask: RedisAsk) -> Result<Reply, Fault> {
    let report = match (ask, daemon.redis.relay()) {
        (RedisAsk::Status, _) => return view(daemon).await,
        (RedisAsk::Rebuild | RedisAsk::Verify, None) => {
            return Err(Fault::conflict("there is no copy in Redis")
                .hint("'autodev config set redis.url redis+unix:///PATH' makes one"));
        }
        (RedisAsk::Rebuild, Some(relay)) => {
            relay.rebuild().await?;
            return view(daemon).await;
        }
        (RedisAsk::Verify, Some(relay)) => relay.verify().await?,
    };
    Ok(Reply::RedisReport(Box::new(report)))
}

async fn view(daemon: &Arc<Daemon>) -> Result<Reply, Fault> {
    let last = daemon.store.last_event().await.map_err(fault)?;
    daemon.redis_view(last).await.map(|view| Reply::Redis(Box::new(view)))
}
