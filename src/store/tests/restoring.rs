//! Restores of databases of which one page is damaged, whichever: what is restored is said,
//! is consistent, and runs nothing again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::protocol::launch::{LaunchSpec, LaunchStep, RecordingLimits, Stdin};

const PAGE: usize = 4096;

/// What is to be known of a task, whatever becomes of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    status: String,
    attempt: u32,
    unmet: u32,
    batch_open: bool,
}

/// An instance that has been used before and after a backup, and then stopped.
struct Used {
    home: Home,
    /// In the backup, the restored database has no less.
    at_backup: BTreeSet<i64>,
    rows: BTreeMap<i64, Row>,
    /// What has ended, and what runs: must not be started.
    spent: HashSet<i64>,
    live: LaunchSpec,
    /// Waited for what never comes, and does no longer.
    freed: TaskId,
}

fn rows(conn: &Connection) -> BTreeMap<i64, Row> {
    let mut statement = conn.prepare("SELECT id, status, attempt, unmet, batch_open FROM tasks").unwrap();
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            Row { status: row.get(1)?, attempt: row.get(2)?, unmet: row.get(3)?, batch_open: row.get(4)? },
        ))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// As the daemon writes it down when it launches a claim.
fn launch(claim: &Claim) -> LaunchSpec {
    LaunchSpec {
        v: crate::protocol::launch::VERSION,
        session: claim.attempt.session(),
        uid: claim.session_uid,
        task: Some(claim.attempt.task),
        task_uid: Some(claim.task_uid),
        tool: "shell".into(),
        mode: Mode::Cli,
        steps: vec![LaunchStep {
            name: "agent".into(),
            argv: vec!["an-agent".into()],
            directory: PathBuf::from("/src/project"),
            environment: BTreeMap::new(),
            stdin: Stdin::Null,
        }],
        columns: 80,
        rows: 24,
        marker: 1,
        recording: RecordingLimits { max_bytes: 1, segment_bytes: 1 },
        history_bytes: 1,
        socket_directory: PathBuf::from("/run"),
        umask: 0o022,
        core: None,
        withholds: false,
        prompt: None,
        conversation: Some("its-conversation".into()),
        resumed: false,
    }
}

async fn start(store: &Store, claim: &Claim) {
    let mut start = started(&["an-agent"], 7, (80, 24));
    start.conversation = Some("its-conversation".into());
    store.start_attempt(claim.attempt, start).await.unwrap();
}

/// Enough of everything that every table has several pages.
async fn used() -> Used {
    let home = Home::new();
    let store = home.open();
    let bulk = |title: &str, hold: bool| {
        let mut spec = spec(title);
        spec.description = "words ".repeat(150);
        spec.labels = vec![format!("a label of {title}")];
        spec.hold = hold;
        spec
    };
    // To be spent after the backup, which has them waiting.
    let early: Vec<TaskId> = {
        let mut early = Vec::new();
        for number in 0..10 {
            early.push(submit(&store, bulk(&format!("early {number}"), false)).await);
        }
        early
    };
    let mut waits = bulk("waits for two", false);
    waits.after = [early[0], early[1]].map(|task| Dependency { task, when: When::Ok }).to_vec();
    let waits = submit(&store, waits).await;
    let mut freed = bulk("does not wait any more", false);
    freed.after = after(early[9], When::NotOk);
    let freed = submit(&store, freed).await;
    let batch = |first: u32, last: bool| SubmitChunk {
        key: "the batch".into(),
        first,
        tasks: (0..3).map(|number| spec(&format!("of a batch {}", first + number))).collect(),
        after: Vec::new(),
        last,
    };
    store.submit_chunk(batch(0, false)).await.unwrap();
    let at_backup = rows(&home.stranger()).into_keys().collect();
    backup::back_up(&home.paths(), None).unwrap();

    let mut spent = HashSet::new();
    for claim in store.claim(limits(8), 8).await.unwrap() {
        start(&store, &claim).await;
        store.end_attempt(claim.attempt, ended(Outcome::Succeeded)).await.unwrap();
        spent.insert(claim.attempt.task.0);
    }
    store.edit(Edit { after: Some(Vec::new()), ..no_change(freed) }).await.unwrap();
    store.submit_chunk(batch(3, true)).await.unwrap();
    let mut late = Vec::new();
    for number in 0..40 {
        late.push(submit(&store, bulk(&format!("late {number}"), number % 2 == 1)).await);
    }
    // One waits for another that comes after it.
    store.edit(Edit { after: Some(after(late[30], When::Any)), ..no_change(late[3]) }).await.unwrap();
    store.set_priority(late[5], 90).await.unwrap();
    for _ in 0..6 {
        let claim = store.claim(limits(8), 1).await.unwrap().remove(0);
        start(&store, &claim).await;
        store.end_attempt(claim.attempt, ended(Outcome::AgentFailed)).await.unwrap();
        spent.insert(claim.attempt.task.0);
    }
    store.note(late[1], None, "a note".into()).await.unwrap();
    store.ask(late[2], None, "a question?".into()).await.unwrap();
    let running = store.claim(limits(8), 1).await.unwrap().remove(0);
    start(&store, &running).await;
    spent.insert(running.attempt.task.0);
    while store.counts().await.is_ok() && rows(&home.stranger()).values().any(|row| row.batch_open) {
        // The chores come before this.
        store.set_preference("x", "y".into()).await.unwrap();
    }
    let live = launch(&running);
    store.close().await;
    let rows = rows(&home.stranger());
    assert_eq!(rows[&waits.0].unmet, 0);
    Used { home, at_backup, rows, spent, live, freed }
}

/// The same instance again, in a directory of its own.
fn copy(used: &Used) -> Home {
    let copy = Home::new();
    for (from, to) in
        [(used.home.paths().state, copy.paths().state), (used.home.paths().backups(), copy.paths().backups())]
    {
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    copy
}

/// Everything that a restored database has to hold, whatever could be read.
async fn check(case: &str, used: &Used, home: &Home, restored: &Restored) {
    let found = rows(&home.stranger());
    let told = restored.lost.is_some() || !restored.unreadable.is_empty() || !restored.missing.is_empty();
    let running = used.live.task.unwrap().0;
    for (task, was) in &used.rows {
        let missing = restored.lost.is_some() || restored.missing.contains(&TaskId(*task));
        assert!(found.contains_key(task) || missing, "{case}: task {task} is lost without a word: {restored:?}");
        let Some(is) = found.get(task) else { continue };
        let waited = was.status == "queued" && is.status == "held";
        assert!(told || is == was || (waited && restored.held > 0), "{case}: task {task} was {was:?} and is {is:?}");
    }
    assert!(used.at_backup.iter().all(|task| found.contains_key(task)), "{case}: {restored:?}");
    let store = home.open();
    store.verify().await.unwrap();
    // What runs is known, with its conversation, if only its task is.
    if found.contains_key(&running) {
        let view = store.session_of(used.live.uid).await.unwrap();
        assert_eq!((view.state, view.task), (SessionState::Running, Some(TaskId(running))), "{case}");
        let shown = view_of(&store, running).await;
        assert_eq!(shown.task.state, Status::Running, "{case}");
        assert_eq!(shown.attempts.last().unwrap().conversation.as_deref(), Some("its-conversation"), "{case}");
    }
    let before = claim(&store, 1_000).await;
    assert!(before.iter().all(|task| !used.spent.contains(&task.0)), "{case}: runs again: {before:?}");
    // A person has looked, and everything that waits can be worked off.
    let held: Vec<TaskId> =
        rows(&home.stranger()).iter().filter(|(_, row)| row.status == "held").map(|(task, _)| TaskId(*task)).collect();
    for (task, applied) in store.apply_all(held, Event::Released, Actor::User, |_, _| {}).await {
        assert!(applied.is_ok(), "{case}: {task}: {applied:?}");
    }
    let mut begun = before;
    let mut rounds = 0;
    loop {
        for task in begun {
            let number = view_of(&store, task.0).await.task.attempt.unwrap().number;
            run(&store, task, number, Outcome::Succeeded).await;
        }
        store.set_preference("x", "y".into()).await.unwrap();
        begun = claim(&store, 1_000).await;
        rounds += 1;
        if begun.is_empty() && rounds > 6 {
            break;
        }
    }
    let left: Vec<(i64, Row)> =
        rows(&home.stranger()).into_iter().filter(|(_, row)| row.status == "queued" || row.status == "held").collect();
    let bad = used.rows.len();
    assert!(
        left.iter().all(|(task, row)| {
            let texts = home
                .stranger()
                .query_row("SELECT count(*) FROM task_texts WHERE task = ?1", [task], |r| r.get::<_, i64>(0));
            // Its text is lost, or that of what it waits for; its batch; that it waits no more.
            let has_text = texts.unwrap() > 0;
            let waits_for_one = home.stranger().query_row(
                "SELECT count(*) FROM dependencies AS d JOIN tasks AS t ON t.id = d.parent
                  WHERE d.task = ?1 AND t.ended_at IS NULL",
                [task],
                |r| r.get::<_, i64>(0),
            );
            !has_text || waits_for_one.unwrap() > 0 || (told && (row.batch_open || TaskId(*task) == used.freed))
        }),
        "{case}: of {bad} are stuck: {left:?}\n{restored:?}"
    );
    store.close().await;
    let conn = home.stranger();
    backup::check(&conn).unwrap();
    let counted: i64 = conn.query_row("SELECT sum(tasks) FROM counters", [], |row| row.get(0)).unwrap();
    assert_eq!(counted, i64::try_from(found.len()).unwrap(), "{case}");
}

async fn view_of(store: &Store, task: i64) -> TaskDetail {
    view(store, TaskId(task)).await
}

#[tokio::test]
async fn whichever_page_is_damaged_nothing_runs_again_or_goes_without_a_word() {
    let used = used().await;
    let bytes = fs::read(used.home.paths().database()).unwrap();
    let pages = bytes.len() / PAGE;
    assert!(pages > 40, "{pages}");
    let (mut whole, mut told) = (0, 0);
    for page in 1..pages {
        let home = copy(&used);
        let mut damaged = bytes.clone();
        damaged[page * PAGE..][..12].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(home.paths().database(), damaged).unwrap();
        let case = format!("page {}", page + 1);
        let wanted = Wanted { live: vec![used.live.clone()], ..Wanted::default() };
        match restore(&home.paths(), &wanted) {
            Ok(restored) => {
                assert!(restored.held == 0 || restored.lost.is_some() || !restored.unreadable.is_empty(), "{case}");
                told += u32::from(restored.lost.is_some() || !restored.unreadable.is_empty());
                whole += u32::from(restored.lost.is_none() && restored.unreadable.is_empty());
                check(&case, &used, &home, &restored).await;
            }
            // A page that is not in use.
            Err(RestoreError::Whole(_)) => {}
            Err(error) => panic!("{case}: {error}"),
        }
    }
    // Indexes can be made anew from their tables, tables cannot.
    assert!(whole > 5 && told > 20, "{whole} {told}");
}
