//! The daemon's orders: who may give them, in which order, and what they do.

use std::time::Instant;

use super::ending::By;
use super::event_loop::{Keeper, Stage};
use super::tree;
use crate::protocol::hello::BUILD;
use crate::protocol::keeper::{FromKeeper, How, KeeperHello, Phase, RefusedCode, Role, VERSION};

/// What is remembered of orders.
#[derive(Debug, Default)]
pub struct Orders {
    /// Highest generation seen.
    generation: u64,
    /// Highest order of the connection that gives them.
    last: u64,
    /// Stopped before the program was started: it never will be.
    pub(super) latched: bool,
}

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Start the program.
    Go,
    /// End the tree.
    Stop(How),
    /// Freeze it, or let it run on.
    Freeze(bool),
    /// The exit is known for good.
    Acknowledge,
}

/// Why an order is not followed.
#[derive(Debug, PartialEq, Eq)]
enum Stale {
    Generation(u64),
    Order(u64),
}

impl Orders {
    fn meet(&mut self, generation: u64) -> Result<(), Stale> {
        if generation < self.generation {
            return Err(Stale::Generation(self.generation));
        }
        if generation > self.generation {
            self.generation = generation;
            self.last = 0;
        }
        Ok(())
    }

    /// A controller's connection counts its orders from the beginning, also one of a daemon
    /// that was here before and had lost the last one.
    fn begin(&mut self, generation: u64) -> Result<(), Stale> {
        self.meet(generation)?;
        self.last = 0;
        Ok(())
    }

    /// The same order twice is one order: all are idempotent.
    fn take(&mut self, generation: u64, order: u64) -> Result<(), Stale> {
        self.meet(generation)?;
        if order < self.last {
            return Err(Stale::Order(self.last));
        }
        self.last = order;
        Ok(())
    }
}

impl Keeper {
    /// Who this is and how far it has come.
    pub(super) fn hello(&self) -> FromKeeper {
        let (phase, child) = match self.stage {
            Stage::Waiting => (Phase::NotStarted, 0),
            Stage::Running { pid, .. } => (Phase::Started, pid),
            Stage::Ending(_) | Stage::Recording => (Phase::Started, 0),
            Stage::Over(_) => (Phase::Exited, 0),
        };
        FromKeeper::Hello(KeeperHello {
            version: VERSION,
            pid: self.birth.process.pid,
            start: self.birth.process.start,
            generation: self.orders.generation,
            phase,
            child,
            uid: self.birth.spec.uid,
            build: BUILD.to_owned(),
        })
    }

    /// A controller says hello: the newest counts, and learns all there is to know.
    pub(super) fn hello_controller(&mut self, index: usize, generation: u64, now: Instant) {
        // Those that came before are closed below, and no longer heard.
        if let Err(stale) = self.orders.begin(generation) {
            return self.refuse_stale(index, &stale);
        }
        for (other, client) in self.clients.iter_mut().enumerate() {
            if other != index && client.role == Some(Role::Controller) {
                client.send(&FromKeeper::Detached { reason: "another daemon gives the orders now".into() });
                client.close(now);
            }
        }
        let hello = self.hello();
        let status = self.status();
        let client = &mut self.clients[index];
        client.role = Some(Role::Controller);
        client.send(&hello);
        match &self.stage {
            Stage::Running { pid, start, .. } => client.send(&FromKeeper::Started { pid: *pid, start: *start }),
            Stage::Over(record) => client.send(&FromKeeper::Exited(record.clone())),
            _ => {}
        }
        client.send(&FromKeeper::Status(status));
    }

    /// Follows an order, or says why not.
    pub(super) fn order(&mut self, index: usize, generation: u64, order: u64, what: What, now: Instant) {
        if self.clients[index].role != Some(Role::Controller) {
            return self.refuse(index, RefusedCode::Protocol, "only the daemon gives orders");
        }
        if let Err(stale) = self.orders.take(generation, order) {
            return self.refuse_stale(index, &stale);
        }
        match what {
            What::Go => self.go(index, now),
            What::Stop(how) => self.stop_order(index, how, now),
            What::Freeze(frozen) => self.freeze(index, frozen),
            What::Acknowledge => self.acknowledged(index, now),
        }
    }

    fn go(&mut self, index: usize, now: Instant) {
        if self.orders.latched {
            return self.refuse(index, RefusedCode::Latched, "it was stopped before its program was started");
        }
        match &self.stage {
            Stage::Waiting => self.start(now),
            // Asked again: it runs already, or its exit was or will be told.
            Stage::Running { pid, start, .. } => {
                let started = FromKeeper::Started { pid: *pid, start: *start };
                self.clients[index].send(&started);
            }
            Stage::Ending(_) | Stage::Recording => {}
            Stage::Over(record) => {
                let exited = FromKeeper::Exited(record.clone());
                self.clients[index].send(&exited);
            }
        }
    }

    /// Variables that are not in the launch specification because nobody may read them
    /// there. They live in this process and in the program's environment only.
    pub(super) fn environment(&mut self, index: usize, variables: Vec<(String, String)>) {
        if !matches!(self.stage, Stage::Waiting) {
            return self.refuse(index, RefusedCode::State, "the program was started already");
        }
        for step in &mut self.birth.spec.steps {
            step.environment.extend(variables.iter().cloned());
        }
    }

    /// Values that nobody may find in what is kept.
    pub(super) fn blot(&mut self, index: usize, values: &[String]) {
        if !matches!(self.stage, Stage::Waiting) {
            return self.refuse(index, RefusedCode::State, "the program was started already");
        }
        if let Err(error) = self.output.blot(values) {
            // Rather not at all than with secrets in the recording.
            self.refuse(index, RefusedCode::Limit, &error.to_string());
            self.orders.latched = true;
            self.stopped_before_start();
        }
    }

    fn stop_order(&mut self, index: usize, how: How, now: Instant) {
        self.clients[index].send(&FromKeeper::Done);
        match &self.stage {
            Stage::Waiting => {
                self.orders.latched = true;
                self.stopped_before_start();
            }
            Stage::Running { .. } | Stage::Ending(_) => self.stop(By::Order, how, now),
            Stage::Recording | Stage::Over(_) => {}
        }
    }

    fn freeze(&mut self, index: usize, frozen: bool) {
        if !matches!(self.stage, Stage::Running { .. }) || self.stopping.is_some() {
            return self.refuse(index, RefusedCode::State, "no program runs that could be frozen or thawed");
        }
        tree::freeze(frozen);
        self.frozen = frozen;
        match frozen {
            true => self.running.stop(Instant::now()),
            false => self.running.run(Instant::now()),
        }
        self.clients[index].send(&FromKeeper::Done);
        self.tell_status();
    }

    fn acknowledged(&mut self, index: usize, now: Instant) {
        if !matches!(self.stage, Stage::Over(_)) {
            return self.refuse(index, RefusedCode::State, "its exit is not recorded yet");
        }
        self.clients[index].send(&FromKeeper::Done);
        self.leave(now);
    }

    fn refuse_stale(&mut self, index: usize, stale: &Stale) {
        match stale {
            Stale::Generation(highest) => {
                let reason = format!("{highest} is the generation of the daemon that gives orders here");
                self.refuse(index, RefusedCode::Generation, &reason);
            }
            Stale::Order(last) => {
                let reason = format!("order {last} has come before it");
                self.refuse(index, RefusedCode::State, &reason);
            }
        }
    }

    /// Answers that something is not done.
    pub(super) fn refuse(&mut self, index: usize, code: RefusedCode, reason: &str) {
        self.clients[index].send(&FromKeeper::Refused { code, reason: reason.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_generations_and_overtaken_orders_are_stale() {
        let mut orders = Orders::default();
        assert_eq!(orders.take(3, 1), Ok(()));
        assert_eq!(orders.take(3, 2), Ok(()));
        assert_eq!(orders.take(3, 2), Ok(()), "repeated");
        assert_eq!(orders.take(3, 1), Err(Stale::Order(2)));
        assert_eq!(orders.take(2, 9), Err(Stale::Generation(3)));
        assert_eq!(orders.meet(4), Ok(()));
        assert_eq!(orders.take(3, 9), Err(Stale::Generation(4)));
        assert_eq!(orders.take(4, 1), Ok(()), "a new daemon counts anew");
        assert_eq!(orders.take(4, 5), Ok(()));
        assert_eq!(orders.begin(3), Err(Stale::Generation(4)));
        assert_eq!(orders.take(4, 1), Err(Stale::Order(5)));
        assert_eq!(orders.begin(4), Ok(()));
        assert_eq!(orders.take(4, 1), Ok(()), "a new connection counts anew");
    }
}
