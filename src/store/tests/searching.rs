use super::*;

async fn found(store: &Store, words: &str) -> Vec<i64> {
    let filter = Filter { search: Some(words.into()), ..Filter::default() };
    let mut found = pages(store, ListQuery { filter, ..query(Listing::All) }, 50).await;
    found.sort_unstable();
    found
}

/// Waits until the index has everything; the writer does that when it is idle.
async fn indexed(store: &Store) {
    loop {
        let behind: i64 = store
            .read(|r| {
                let sql = "SELECT (SELECT coalesce(max(seq), 0) FROM events) - (SELECT seq FROM cursors)";
                Ok(r.conn.query_row(sql, [], |row| row.get(0))?)
            })
            .await
            .unwrap();
        if behind == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn about(title: &str, description: &str) -> TaskSpec {
    TaskSpec { title: title.into(), description: description.into(), ..spec("x") }
}

#[tokio::test]
async fn words_are_found_before_and_after_indexing() {
    let (_home, store) = fresh();
    let parser = submit(&store, about("Refactor the parser", "Split src/foo-bar.rs in two")).await;
    submit(&store, about("Write docs", "for the parser's grammar; äußerst GENAU")).await;
    let cases: &[(&str, &[i64])] = &[
        ("parser", &[1, 2]),
        ("PARS", &[1, 2]),
        ("parser split", &[1]),
        ("foo-bar", &[1]),
        ("bar-foo", &[]),
        ("Äußerst genau", &[2]),
        ("nothing", &[]),
        ("efactor", &[]),
    ];
    for (words, expected) in cases {
        assert_eq!(found(&store, words).await, *expected, "{words}, not indexed");
    }
    indexed(&store).await;
    for (words, expected) in cases {
        assert_eq!(found(&store, words).await, *expected, "{words}, indexed");
    }

    // Changed text is found at once, and what it was is not.
    store.edit(Edit { description: Some("Rewrite the lexer".into()), ..no_change(parser) }).await.unwrap();
    claim(&store, 1).await;
    let end = AttemptEnd { error: Some("segmentation fault".into()), ..ended(Outcome::AgentFailed) };
    store.end_attempt(attempt(parser, 1), end).await.unwrap();
    for when in ["not indexed", "indexed"] {
        assert_eq!(found(&store, "lexer").await, [1], "{when}");
        assert_eq!(found(&store, "segmentation").await, [1], "{when}");
        assert_eq!(found(&store, "foo-bar").await, [] as [i64; 0], "{when}");
        indexed(&store).await;
    }
}

#[tokio::test]
async fn no_words_break_the_search() {
    let (_home, store) = fresh();
    submit(&store, about("it's a \"test\"", "SELECT * FROM tasks; -- OR AND NOT NEAR(a b)")).await;
    for round in 0..2 {
        for words in [
            "\"",
            "\"test",
            "test\"",
            "it's",
            "test*",
            "*test",
            "^test",
            "title:test",
            "NEAR(a b)",
            "a AND",
            "OR OR",
            "NOT test",
            "(test",
            "test)",
            "test - test",
            "{title} : test",
            "-- test",
            "test + test",
            "';DROP TABLE tasks",
            "\u{0}test",
            "test\u{0}",
            "\\test",
            "%test%",
            "[test]",
            "te\u{301}st",
            "🦀 test",
        ] {
            let filter = Filter { search: Some(words.into()), ..Filter::default() };
            match store.list(ListQuery { filter, ..query(Listing::All) }, limits(1)).await {
                Ok(_) => {}
                Err(error) => assert_eq!(fault(error).code, FaultCode::Usage, "{words:?} round {round}"),
            }
        }
        assert_eq!(found(&store, "near select").await, [1]);
        assert_eq!(found(&store, "test\"").await, [1]);
        indexed(&store).await;
    }
    for empty in ["", "  ", "\"", "* - ("] {
        let filter = Filter { search: Some(empty.into()), ..Filter::default() };
        let error = store.list(ListQuery { filter, ..query(Listing::All) }, limits(1)).await.unwrap_err();
        assert_eq!(fault(error).code, FaultCode::Usage, "{empty:?}");
    }
    let long = "word ".repeat(5_000) + &"x".repeat(100_000);
    assert!(found(&store, &long).await.is_empty());
}

#[tokio::test]
async fn hits_are_filtered_ordered_and_paged() {
    let (_home, store) = fresh();
    for number in 0..20 {
        let labels = if number % 2 == 0 { vec!["even".into()] } else { Vec::new() };
        submit(&store, TaskSpec { labels, priority: number, ..about("common", "") }).await;
    }
    indexed(&store).await;
    let search = |listing, labels| {
        let filter = Filter { search: Some("common".into()), labels, ..Filter::default() };
        ListQuery { filter, ..query(listing) }
    };
    let even: Vec<i64> = (1..=20).filter(|n| n % 2 == 1).collect();
    let mut newest = pages(&store, search(Listing::All, vec!["even".into()]), 3).await;
    newest.reverse();
    assert_eq!(newest, even);
    let queue: Vec<i64> = (1..=20).rev().collect();
    assert_eq!(pages(&store, search(Listing::Live, vec![]), 3).await, queue, "the highest priority goes first");
    assert!(pages(&store, search(Listing::History, vec![]), 3).await.is_empty());
    let select = Select { filter: Some(search(Listing::All, vec!["even".into()]).filter), ..Select::default() };
    assert_eq!(store.select(select).await.unwrap().iter().map(|t| t.0).collect::<Vec<_>>(), even);
}

#[tokio::test]
async fn too_many_hits_are_said_to_be_so() {
    let (home, store) = fresh();
    for first in (0..1_250).step_by(250) {
        let chunk = SubmitChunk {
            key: "k".into(),
            first,
            tasks: vec![about("common", ""); 250],
            after: Vec::new(),
            last: first == 1_000,
        };
        store.submit_chunk(chunk).await.unwrap();
    }
    let filter = Filter { search: Some("common".into()), ..Filter::default() };
    indexed(&store).await;
    let page = store.list(ListQuery { filter: filter.clone(), ..query(Listing::All) }, limits(1)).await.unwrap();
    assert!(page.incomplete);
    assert_eq!((page.tasks.len(), page.tasks[0].id), (50, TaskId(1_250)));
    // Doing something to "all" of them would be doing it to some.
    let error = store.select(Select { filter: Some(filter), ..Select::default() }).await.unwrap_err();
    assert_eq!(fault(error).code, FaultCode::Limit);
    store.close().await;
    assert_eq!(found(&home.open(), "nothing").await, [] as [i64; 0]);
}
