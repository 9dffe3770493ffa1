//! Answers that take their time: waiting for tasks, and the stream of events.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;

use super::Daemon;
use super::connection::Connection;
use super::handlers::fault;
use crate::protocol::reply::Waited;
use crate::protocol::request::{EventsQuery, ListQuery, Wait};
use crate::protocol::view::{Brief, EventView};
use crate::protocol::{Fault, FaultCode, Reply};

/// Waits for tasks to end, the client to leave, or the time to be over.
pub(crate) async fn wait(daemon: &Arc<Daemon>, wait: Wait, connection: &mut Connection) -> io::Result<()> {
    connection.greet().await?;
    // Listens before it looks: an end in between is heard.
    let mut feed = daemon.store.feed();
    let tasks = match daemon.store.select(wait.select).await {
        Ok(tasks) => tasks,
        Err(error) => return connection.reply(&Reply::Fault(fault(error))).await,
    };
    if tasks.len() > Brief::MOST {
        let fault = Fault::usage(format!("{} tasks are too many to wait for at once", tasks.len()));
        return connection.reply(&Reply::Fault(fault.hint(format!("at most {}", Brief::MOST)))).await;
    }
    let total = tasks.len();
    let mut open: BTreeSet<_> = tasks.iter().copied().collect();
    // Beyond the end of time is never.
    let deadline = wait.timeout.and_then(|t| tokio::time::Instant::now().checked_add(t.0));
    let over = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut look = true;
    let timed_out = loop {
        if look {
            match daemon.store.briefs(open.iter().copied().collect()).await {
                Ok(briefs) => {
                    for brief in briefs.iter().filter(|brief| brief.state.is_final()) {
                        open.remove(&brief.id);
                    }
                }
                Err(error) => return connection.reply(&Reply::Fault(fault(error))).await,
            }
            look = false;
        }
        let ended = total - open.len();
        if open.is_empty() || (wait.any && ended > 0) {
            break false;
        }
        tokio::select! {
            event = feed.recv() => match event {
                Ok(event) => if let (Some(task), Some(state)) = (event.task, event.state) && state.is_final() {
                    open.remove(&task);
                },
                Err(RecvError::Lagged(_)) => look = true,
                Err(RecvError::Closed) => return Ok(()),
            },
            () = &mut over => break true,
            () = daemon.is_stopping() => return connection.reply(&stopped()).await,
            () = connection.client_left() => return Ok(()),
        }
    };
    let reply = match daemon.store.briefs(tasks).await {
        Ok(tasks) => Reply::Waited(Waited { tasks, timed_out }),
        Err(error) => Reply::Fault(fault(error)),
    };
    connection.reply(&reply).await
}

/// Sends every event after the given one, for as long as the client stays. What a slow
/// client misses of the feed is read from the database: the stream has no gap.
pub(crate) async fn watch(daemon: &Arc<Daemon>, after: Option<i64>, connection: &mut Connection) -> io::Result<()> {
    connection.greet().await?;
    let mut feed = daemon.store.feed();
    let head = match daemon.store.last_event().await {
        Ok(head) => head,
        Err(error) => return connection.reply(&Reply::Fault(fault(error))).await,
    };
    if let Some(after) = after.filter(|after| *after > head) {
        // After a restore numbers are given anew: what comes would not be what is missing.
        let fault = Fault::conflict(format!("the history ends at entry {head}, before {after}"));
        let fault = fault.hint("a restore may have cut it: 'autodev history --events' shows what it has");
        return connection.reply(&Reply::Fault(fault)).await;
    }
    let mut last = after.unwrap_or(head);
    let mut behind = after.is_some();
    loop {
        if behind {
            let query = EventsQuery { task: None, after: last, limit: ListQuery::MAX_LIMIT };
            let page = match daemon.store.events(query).await {
                Ok(page) => page,
                Err(error) => return connection.reply(&Reply::Fault(fault(error))).await,
            };
            behind = page.len() >= ListQuery::MAX_LIMIT as usize;
            for event in page {
                last = send(connection, event, last).await?;
            }
            continue;
        }
        tokio::select! {
            event = feed.recv() => match event {
                Ok(event) if event.seq.checked_sub(1) == Some(last) => last = send(connection, EventView::clone(&event), last).await?,
                Ok(event) => behind = event.seq > last,
                Err(RecvError::Lagged(_)) => behind = true,
                Err(RecvError::Closed) => return Ok(()),
            },
            () = daemon.is_stopping() => return connection.reply(&stopped()).await,
            () = connection.client_left() => return Ok(()),
        }
    }
}

/// To a client that would else take it for a restart, and start the daemon again.
fn stopped() -> Reply {
    let fault = Fault::new(FaultCode::Unreachable, "the daemon was stopped");
    Reply::Fault(fault.hint("'autodev daemon start' starts it; then the same command can be given again"))
}

async fn send(connection: &mut Connection, event: EventView, last: i64) -> io::Result<i64> {
    if event.seq <= last {
        return Ok(last);
    }
    let seq = event.seq;
    connection.reply(&Reply::Event(Box::new(event))).await?;
    Ok(seq)
}
