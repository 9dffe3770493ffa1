use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::store::witness::Witness;

/// A closed instance with some history.
async fn used() -> Home {
    let (home, store) = fresh();
    for _ in 0..3 {
        submit(&store, spec("one")).await;
    }
    store.close().await;
    home
}

/// Every file of the state directory that counts, with its content. SQLite's index of the
/// log is made anew at will.
fn content(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(home.paths().state)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, bytes)| !(name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty()))
        .collect();
    all.sort();
    all
}

/// Opening is refused, says so in words, and touches nothing.
fn refused(home: &Home, words: &str) {
    let before = content(home);
    match Store::open(&home.paths(), 0) {
        Err(OpenError::Damaged(why)) => {
            assert!(why.contains(words), "'{words}' is not in: {why}");
            assert!(why.contains("nothing was touched"), "{why}");
        }
        other => panic!("'{words}': {other:?}"),
    }
    assert!(content(home) == before, "{words}: something was touched");
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let (home, store) = fresh();
    assert_eq!(store.generation(), 1);
    let task = submit(&store, spec("one")).await;
    let before = view(&store, task).await;
    store.close().await;
    let late = store.submit(Submit { key: "late".into(), spec: spec("late") }).await.unwrap_err();
    assert!(matches!(late, StoreError::NotStored(_)), "{late:?}");

    let store = home.open();
    assert_eq!((store.generation(), view(&store, task).await), (2, before));
    assert_eq!(submit(&store, spec("two")).await, TaskId(2));
    assert_eq!(store.verify().await.unwrap().events, 2);
    for (path, mode) in [
        (home.paths().database(), 0o600),
        (home.paths().database().with_extension("db-wal"), 0o600),
        (home.paths().witness(), 0o600),
        (home.paths().marker(), 0o600),
        (home.paths().state, 0o700),
    ] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
}

#[tokio::test]
async fn the_generation_only_grows() {
    let (home, store) = fresh();
    assert_eq!(store.raise_generation(40).await.unwrap(), 41);
    assert_eq!(store.raise_generation(7).await.unwrap(), 41);
    assert_eq!(store.generation(), 41);
    store.close().await;
    let store = Store::open(&home.paths(), 50).unwrap();
    assert_eq!(store.generation(), 51);
    assert_eq!(Witness::read(&home.paths().witness()).unwrap().unwrap().generation, 51);
    store.close().await;
    assert_eq!(home.open().generation(), 52);
}

#[tokio::test]
async fn a_crash_is_not_a_loss() {
    let (home, store) = fresh();
    submit(&store, spec("one")).await;
    // Everything as it lies on the disk in the middle of life.
    let copy = Home::new();
    fs::create_dir(copy.paths().state).unwrap();
    for (name, bytes) in content(&home) {
        fs::write(copy.paths().state.join(name), bytes).unwrap();
    }
    let store = copy.open();
    assert_eq!(numbers(&store, Listing::All).await, [1]);
}

#[tokio::test]
async fn a_missing_database_is_never_replaced() {
    for (spoil, words) in [
        ((|path| fs::remove_file(path).unwrap()) as fn(&Path), "is missing"),
        (|path| fs::write(path, b"").unwrap(), "is empty"),
        (|path| fs::write(path, b"what is this?").unwrap(), "is not a database"),
        (
            |path| {
                fs::remove_file(path).unwrap();
                Connection::open(path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
            },
            "has no tasks",
        ),
    ] {
        let home = used().await;
        spoil(&home.paths().database());
        refused(&home, words);
        // Without the marker the witness still tells.
        fs::remove_file(home.paths().marker()).unwrap();
        refused(&home, words);
    }
}

#[tokio::test]
async fn a_lost_log_is_noticed() {
    let (home, store) = fresh();
    submit(&store, spec("one")).await;
    store.close().await;
    let store = home.open();
    submit(&store, spec("two")).await;
    let before = content(&home);
    drop(store);
    let copy = Home::new();
    fs::create_dir(copy.paths().state).unwrap();
    let log = before.iter().find(|(name, _)| name.ends_with("-wal")).unwrap();
    assert!(!log.1.is_empty(), "the second task is in the log only");
    for (name, bytes) in before.iter().filter(|(name, _)| !name.ends_with("-wal")) {
        fs::write(copy.paths().state.join(name), bytes).unwrap();
    }
    refused(&copy, "are gone");
    // Cut in the middle, it is as lost.
    let used = log.1.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(copy.paths().state.join(&log.0), &log.1[..used / 2]).unwrap();
    refused(&copy, "are gone");
    fs::write(copy.paths().state.join(&log.0), &log.1).unwrap();
    assert_eq!(numbers(&copy.open(), Listing::All).await, [2, 1]);
}

#[tokio::test]
async fn a_witness_that_is_behind_catches_up() {
    let home = used().await;
    let old = fs::read(home.paths().witness()).unwrap();
    let store = home.open();
    submit(&store, spec("two")).await;
    store.close().await;
    fs::write(home.paths().witness(), old).unwrap();
    let store = home.open();
    assert_eq!(store.generation(), 3, "the database knows better");
    assert_eq!(Witness::read(&home.paths().witness()).unwrap().unwrap().seq, 4);
}

#[tokio::test]
async fn a_witness_that_disagrees_is_believed() {
    let home = used().await;
    fs::remove_file(home.paths().witness()).unwrap();
    refused(&home, "is missing");
    fs::write(home.paths().witness(), [7; 1_024]).unwrap();
    refused(&home, "cannot be read");

    // The same number of entries, but not the same ones.
    let one = used().await;
    let other = Home::new();
    fs::create_dir(other.paths().state).unwrap();
    for (name, bytes) in content(&one) {
        fs::write(other.paths().state.join(name), bytes).unwrap();
    }
    for (home, title) in [(&one, "x"), (&other, "y")] {
        let store = home.open();
        submit(&store, spec(title)).await;
        store.close().await;
    }
    fs::copy(other.paths().witness(), one.paths().witness()).unwrap();
    refused(&one, "is not the one that was written");

    let stranger = used().await;
    fs::copy(stranger.paths().witness(), other.paths().witness()).unwrap();
    refused(&other, "of another database");
    fs::copy(stranger.paths().marker(), stranger.paths().witness().with_extension("old")).unwrap();
    fs::copy(one.paths().marker(), stranger.paths().marker()).unwrap();
    fs::write(stranger.paths().marker(), Uid::new().to_string()).unwrap();
    refused(&stranger, "another instance");
}

#[tokio::test]
async fn a_changed_tail_is_noticed() {
    let home = used().await;
    {
        let stranger = home.stranger();
        stranger.execute_batch("DROP TRIGGER events_stay_update").unwrap();
        stranger.execute("UPDATE events SET kind = 'edited' WHERE seq = 2", []).unwrap();
    }
    refused(&home, "entry 2 of the history is damaged");
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let home = used().await;
    home.stranger().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = content(&home);
    match Store::open(&home.paths(), 0) {
        Err(OpenError::Newer(why)) => assert!(why.contains("99"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(content(&home) == before);
}

#[tokio::test]
async fn an_interrupted_making_is_finished() {
    let home = Home::new();
    fs::create_dir(home.paths().state).unwrap();
    fs::write(home.paths().database(), b"").unwrap();
    let store = home.open();
    store.close().await;
    // Made, but not yet marked and witnessed.
    fs::remove_file(home.paths().marker()).unwrap();
    fs::remove_file(home.paths().witness()).unwrap();
    let store = home.open();
    submit(&store, spec("one")).await;
    store.close().await;
    // Witnessed, but not yet marked.
    fs::remove_file(home.paths().marker()).unwrap();
    home.open().close().await;
    assert!(home.paths().marker().exists());
    // With a history it was more than made.
    fs::remove_file(home.paths().marker()).unwrap();
    fs::remove_file(home.paths().witness()).unwrap();
    refused(&home, "neither");
}
