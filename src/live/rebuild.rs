//! Builds the copy anew, beside and over what is there: rows are replaced one by one, the
//! sets at the end, and only then does it count again.

use super::copy::{Copy, Part};
use super::link::Trouble;
use super::{CHUNK, scripts};
use crate::id::{TaskId, Uid};
use crate::store::Mark;

/// Entries of the history that a new stream begins with; who wants older ones asks the
/// daemon.
const ENTRIES: i64 = 10_000;
/// Keys that are looked at in one step for such that are no task's.
const SCAN: u32 = 1_000;

/// Does it; gives the place in the history that the copy is at afterwards.
pub(super) async fn run(copy: &mut Copy) -> Result<Mark, Trouble> {
    let token = Uid::new().to_string();
    good(copy.link.run(scripts::begin(&copy.base, &token)).await?)?;
    // Rows may be newer than this; their entries come again.
    let head = copy.store.head().await?;

    let (store, base, titles) = (copy.store.clone(), copy.base.clone(), copy.titles);
    let rows = async |above: TaskId| -> Result<_, Trouble> {
        let rows = store.task_rows_above(above, CHUNK).await?;
        let last = rows.last().map(|row| row.id);
        Ok(last.map(|last| (last, scripts::fill(&base, &token, &rows, &[], titles))))
    };
    let mut next = rows(TaskId(0)).await?;
    while let Some((last, fill)) = next {
        // What comes next is made ready while the server works.
        let (filled, ready) = tokio::join!(copy.link.run(fill), rows(last));
        good(filled?)?;
        next = ready?;
    }

    let mut at = Mark { seq: (head.seq - ENTRIES).max(0), hash: String::new() };
    while at.seq < head.seq {
        let mut events = copy.store.entries(at.seq, CHUNK).await?;
        events.retain(|event| event.seq <= head.seq);
        let Some(last) = events.last() else { break };
        at.seq = last.seq;
        good(copy.link.run(scripts::fill(&copy.base, &token, &[], &events, copy.titles)).await?)?;
    }

    sweep(copy, &token).await?;
    good(copy.link.run(scripts::finish(&copy.base, &token, &copy.epoch, &copy.form(), &copy.run, &head)).await?)?;
    Ok(head)
}

/// Removes keys of ours that are nothing of the copy's.
async fn sweep(copy: &mut Copy, token: &str) -> Result<(), Trouble> {
    let mut cursor = 0u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}:*", copy.base)).arg("COUNT").arg(SCAN);
        let (next, mut keys): (u64, Vec<Vec<u8>>) = copy.link.ask(&scan).await?;
        keys.retain(|key| !matches!(copy.part(key), Part::Fixed | Part::State(_) | Part::Building));
        if !keys.is_empty() {
            good(copy.link.run(scripts::sweep(&copy.base, token, &keys)).await?)?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// Somebody else may have begun as well, or flushed everything.
fn good(said: String) -> Result<(), Trouble> {
    match said.as_str() {
        "OK" => Ok(()),
        _ => Err(Trouble::Server("what was built was lost or replaced meanwhile".into())),
    }
}
