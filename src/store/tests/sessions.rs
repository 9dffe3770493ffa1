use super::*;
use crate::protocol::launch::{self, LaunchSpec, LaunchStep, RecordingLimits, Stdin};

fn open_with(name: Option<&str>, tool: &str) -> NewSession {
    let name = name.map(|n| n.parse().unwrap());
    NewSession { name, tool: tool.into(), mode: Mode::Interactive, dir: "/src".into(), size: (80, 24) }
}

fn name(text: &str) -> SessionName {
    text.parse().unwrap()
}

async fn uid(store: &Store, session: &str) -> Uid {
    store.session(session.into()).await.unwrap().session_id
}

#[tokio::test]
async fn names_are_given_or_counted() {
    let (_home, store) = fresh();
    let mut names = Vec::new();
    for (wish, tool) in
        [(None, "claude"), (Some("claude-2"), "claude"), (None, "claude"), (None, "/usr/bin/My Tool!"), (None, "...")]
    {
        names.push(store.new_session(open_with(wish, tool)).await.unwrap().name.to_string());
    }
    assert_eq!(names, ["claude-1", "claude-2", "claude-3", "my-tool-1", "session-1"]);
    let taken = store.new_session(open_with(Some("claude-3"), "x")).await.unwrap_err();
    assert_eq!(fault(taken).code, FaultCode::Conflict);
    for number in ["42", "42.1"] {
        let refused = store.new_session(open_with(Some(number), "x")).await.unwrap_err();
        assert_eq!(fault(refused).code, FaultCode::Usage);
    }
    // A counted name is never used twice, a chosen one may be when its session has ended.
    for ended in ["claude-3", "claude-2"] {
        store.end_session(uid(&store, ended).await, SessionState::Ended, None, None).await.unwrap();
    }
    assert_eq!(store.new_session(open_with(None, "claude")).await.unwrap().name, name("claude-4"));
    assert!(store.new_session(open_with(Some("claude-2"), "x")).await.is_ok());
}

#[tokio::test]
async fn a_session_lives_and_ends() {
    let (home, store) = fresh();
    let made = store.new_session(open_with(Some("mine"), "bash")).await.unwrap();
    assert_eq!(made.number, 1);
    let open = store.unfinished().await.unwrap();
    assert_eq!((open.len(), open[0].uid, open[0].started, open[0].attempt), (1, made.uid, false, None));
    store.start_session(made.uid, vec!["bash".into()], Some(99)).await.unwrap();
    let seen = store.session("mine".into()).await.unwrap();
    assert_eq!(
        (seen.state, seen.keeper_pid, seen.current_directory.as_str()),
        (SessionState::Running, Some(99), "/src")
    );
    let live = home.paths().live_sessions().join(format!("@{}", made.uid));
    assert_eq!(seen.recording.unwrap().path, live.display().to_string());

    store.rename_session(name("mine"), name("yours")).await.unwrap();
    assert_eq!(fault(store.session("mine".into()).await.unwrap_err()).code, FaultCode::NotFound);
    let record = record(&name("yours"), Exit { code: None, signal: Some(9) });
    store.end_session(made.uid, SessionState::Ended, Some("killed".into()), Some(record)).await.unwrap();
    store.end_session(made.uid, SessionState::Lost, None, None).await.unwrap();
    let moved = RecordingMove { session: made.uid, path: Some("/packs/1".into()), offset: Some(512), changed: false };
    store.recordings_moved(vec![moved]).await.unwrap();
    let seen = store.session("yours".into()).await.unwrap();
    assert_eq!((seen.state, seen.exit_code, seen.keeper_pid), (SessionState::Ended, Some(137), None));
    let recording = seen.recording.unwrap();
    assert_eq!((recording.path.as_str(), recording.pack_offset, recording.bytes), ("/packs/1", Some(512), 10));
    assert!(store.unfinished().await.unwrap().is_empty());
    assert!(store.sessions(false, None, 9).await.unwrap().is_empty());
    assert_eq!(store.sessions(true, None, 9).await.unwrap().len(), 1);
    let late = store.start_session(made.uid, vec![], Some(1)).await.unwrap_err();
    assert_eq!(fault(late).code, FaultCode::Conflict);
    let kinds: Vec<_> = history(&store, None).await.into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds, ["session_opened", "session_started", "session_renamed", "session_ended"]);
}

/// A name that was used before leads to the session that has it now, and every session to
/// its own row.
#[tokio::test]
async fn a_name_may_have_had_another_session() {
    let (_home, store) = fresh();
    let old = store.new_session(open_with(Some("one"), "x")).await.unwrap();
    let newer = store.new_session(open_with(Some("two"), "x")).await.unwrap();
    store.end_session(newer.uid, SessionState::Ended, None, None).await.unwrap();
    store.rename_session(name("one"), name("two")).await.unwrap();
    assert_eq!(uid(&store, "two").await, old.uid);
    let taken = store.new_session(open_with(Some("two"), "x")).await.unwrap_err();
    assert_eq!(fault(taken).code, FaultCode::Conflict);
    store.end_session(old.uid, SessionState::Lost, None, None).await.unwrap();
    assert!(store.unfinished().await.unwrap().is_empty());
    let ended = store.session_of(old.uid).await.unwrap();
    assert_eq!((ended.name, ended.state), (name("two"), SessionState::Lost));
    assert_eq!(store.session_of(newer.uid).await.unwrap().state, SessionState::Ended);
    assert!(store.has_session(old.uid).await.unwrap() && !store.has_session(Uid::new()).await.unwrap());
}

#[tokio::test]
async fn a_task_leads_to_its_newest_session() {
    let (_home, store) = fresh();
    let task = submit(
        &store,
        TaskSpec { timeout: Some(crate::clock::Span(std::time::Duration::from_secs(9))), ..spec("one") },
    )
    .await;
    assert!(fault(store.session("1".into()).await.unwrap_err()).message.contains("has no session"));
    assert!(fault(store.session("2".into()).await.unwrap_err()).message.contains("no task 2"));
    for number in [1, 2] {
        claim(&store, 1).await;
        assert_eq!(store.session("1".into()).await.unwrap().name, attempt(task, number).session());
        let end = store.end_attempt(attempt(task, number), ended(Outcome::NeverStarted)).await.unwrap();
        assert_eq!(end.after, Status::Queued);
    }
    claim(&store, 1).await;
    store.start_attempt(attempt(task, 3), started(&["x", "y"], 5, (66, 11))).await.unwrap();
    let open = store.unfinished().await.unwrap();
    assert_eq!((open.len(), open[0].attempt), (1, Some((attempt(task, 3), Status::Running))));
    assert_eq!(open[0].timeout.unwrap().0.as_secs(), 9);
    let detail = view(&store, task).await;
    assert_eq!(detail.attempts[2].argv, ["x", "y"]);
    assert_eq!((detail.task.session, detail.attempts.len()), (Some(attempt(task, 3).session()), 3));
    for (event, state) in [(Event::Paused, SessionState::Paused), (Event::Resumed, SessionState::Running)] {
        store.apply(task, event, Actor::User).await.unwrap();
        assert_eq!(store.session("1.3".into()).await.unwrap().state, state);
    }
    // The limit has not counted while it was paused.
    let events = history(&store, Some(task)).await;
    let at = |kind: &str| events.iter().rfind(|e| e.kind == kind).unwrap().at;
    let since = at("started").plus(at("resumed").since(at("paused")));
    assert_eq!(store.unfinished().await.unwrap()[0].started_at.unwrap(), since);
    store.end_attempt(attempt(task, 3), ended(Outcome::Lost)).await.unwrap();
    assert_eq!(store.session("1.3".into()).await.unwrap().state, SessionState::Lost);
    let refused = store.end_session(uid(&store, "1.3").await, SessionState::Ended, None, None).await.unwrap_err();
    assert_eq!(fault(refused).code, FaultCode::Conflict);
}

#[tokio::test]
async fn work_that_is_not_settled_is_unfinished() {
    let (_home, store) = fresh();
    let task = submit(&store, spec("one")).await;
    claim(&store, 1).await;
    let event = Event::Ended { attempt: 1, outcome: Outcome::Succeeded, exit: Exit::default(), error: None };
    store.apply(task, event, Actor::Daemon).await.unwrap();
    let open = store.unfinished().await.unwrap();
    assert_eq!(open[0].attempt, Some((attempt(task, 1), Status::Completing)));
    store.apply(task, Event::Settled { attempt: 1 }, Actor::Daemon).await.unwrap();
    assert!(store.unfinished().await.unwrap().is_empty());
}

#[tokio::test]
async fn strangers_are_taken_in() {
    let (_home, store) = fresh();
    let spec = |session: &str| LaunchSpec {
        conversation: None,
        core: None,
        resumed: false,
        v: launch::VERSION,
        session: name(session),
        uid: Uid::new(),
        task: None,
        task_uid: None,
        tool: "claude".into(),
        mode: Mode::Interactive,
        steps: vec![LaunchStep {
            name: "agent".into(),
            argv: vec!["claude".into()],
            directory: "/src".into(),
            environment: Default::default(),
            stdin: Stdin::Terminal,
        }],
        columns: 80,
        rows: 24,
        marker: 400_001,
        recording: RecordingLimits { max_bytes: 1, segment_bytes: 1 },
        history_bytes: 1,
        socket_directory: "/run".into(),
        withholds: false,
        prompt: None,
        umask: 0o022,
    };
    let mut names = Vec::new();
    for session in ["claude-1", "claude-1", "7.1"] {
        names.push(store.adopt_unknown(spec(session)).await.unwrap().name.to_string());
    }
    assert_eq!(names, ["claude-1", "unknown-1", "unknown-2"]);
    let seen = store.session("unknown-2".into()).await.unwrap();
    assert_eq!(
        (seen.state, seen.tool.as_str(), seen.current_directory.as_str()),
        (SessionState::Running, "claude", "/src")
    );
    // Its counted name is skipped when its turn comes.
    assert_eq!(store.new_session(open_with(None, "claude")).await.unwrap().name, name("claude-2"));
}

#[tokio::test]
async fn pages_of_sessions_go_back_in_time() {
    let (_home, store) = fresh();
    for name in ["one", "two", "three", "four", "five"] {
        store.new_session(open_with(Some(name), "x")).await.unwrap();
    }
    store.end_session(uid(&store, "two").await, SessionState::Ended, None, None).await.unwrap();
    for (all, expected) in [(true, ["four five", "two three", "one", ""]), (false, ["four five", "one three", "", ""])]
    {
        let mut before = None;
        for page in expected {
            let sessions = store.sessions(all, before, 2).await.unwrap();
            let names: Vec<&str> = sessions.iter().map(|session| session.name.as_str()).collect();
            assert_eq!(names.join(" "), page, "{all}");
            before = sessions.first().map(|session| session.session_id).or(before);
        }
    }
    let unknown = store.sessions(true, Some(Uid::new()), 2).await.unwrap_err();
    assert_eq!(fault(unknown).code, FaultCode::NotFound);
}
