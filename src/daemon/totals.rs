//! What has ended since the daemon began, as Prometheus counts: totals that only grow. Each
//! entry of the history is read once, when somebody asks; nothing is counted for nobody.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::store::{EndedSince, Store, StoreError};

/// Entries of the history read at once: others are answered in between.
const CHUNK: u32 = 2_000;
/// Borders of waiting and running times in seconds: from a command to a long night.
const SECONDS: [f64; 11] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0];

type Labels = Vec<(&'static str, String)>;

/// The totals, and the last entry that is in them.
#[derive(Debug)]
pub(crate) struct Totals {
    seq: i64,
    tasks: Family<Labels, Counter>,
    attempts: Family<Labels, Counter>,
    waiting: Histogram,
    running: Histogram,
    cpu: Counter<f64, AtomicU64>,
}

impl Totals {
    /// Counts what comes after this entry.
    pub fn after(seq: i64) -> Totals {
        Totals {
            seq,
            tasks: Family::default(),
            attempts: Family::default(),
            waiting: Histogram::new(SECONDS),
            running: Histogram::new(SECONDS),
            cpu: Counter::default(),
        }
    }

    /// Adds what has ended meanwhile.
    ///
    /// # Errors
    /// When it cannot be read; what was read is in it.
    pub async fn catch_up(&mut self, store: &Store) -> Result<(), StoreError> {
        loop {
            let found = store.ended_since(self.seq, CHUNK).await?;
            let more = found.more;
            self.add(found);
            if !more {
                return Ok(());
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "times of years are exact to the millisecond")]
    fn add(&mut self, found: EndedSince) {
        let seconds = |ms: i64| ms.max(0) as f64 / 1000.0;
        for (provider, state) in found.tasks {
            self.tasks.get_or_create(&vec![("provider", provider), ("state", state.name().to_owned())]).inc();
        }
        found.waited_ms.into_iter().for_each(|ms| self.waiting.observe(seconds(ms)));
        for ended in found.attempts {
            let labels = vec![("outcome", ended.outcome.name().to_owned()), ("provider", ended.provider)];
            self.attempts.get_or_create(&labels).inc();
            if let Some(ran) = ended.ran_ms {
                self.running.observe(seconds(ran));
            }
            self.cpu.inc_by(ended.cpu_ms.map_or(0.0, seconds));
        }
        self.seq = found.to;
    }

    /// Puts them on a page.
    pub fn register(&self, page: &mut Registry) {
        let seconds = || Unit::Seconds;
        page.register("autodev_tasks_ended", "Tasks that have ended", self.tasks.clone());
        page.register("autodev_attempts_ended", "Attempts that have ended", self.attempts.clone());
        let about = "From submit to first attempt";
        page.register_with_unit("autodev_task_waiting", about, seconds(), self.waiting.clone());
        let about = "How long attempts that have ended have run";
        page.register_with_unit("autodev_attempt_running", about, seconds(), self.running.clone());
        let about = "Processor time that they have used";
        page.register_with_unit("autodev_attempt_cpu", about, seconds(), self.cpu.clone());
    }
}
