//! `autodev stats`.

use crate::common::Instance;

#[test]
fn figures_are_of_what_has_ended() {
    let instance = Instance::new();
    assert!(instance.ok(&["stats"]).contains("none has ended"));
    for code in [0, 0, 0, 3] {
        instance.wait(instance.submit(&[], &format!("exit {code}")));
    }
    let held = instance.submit(&["--hold"], "true");
    instance.ok(&["cancel", &held.to_string()]);
    let stats = instance.json(&["stats", "--since", "1h", "--by", "provider"]);
    let all = &stats["all"];
    assert_eq!(
        (&all["tasks"], &all["passed"], &all["failed"], &all["cancelled"]),
        (&5.into(), &3.into(), &1.into(), &1.into())
    );
    assert_eq!(stats["groups"][0]["name"], "shell");
    assert_eq!(stats["groups"][0]["tasks"], 5);
    let parts = stats["parts"].as_array().unwrap().iter().map(|part| part["tasks"].as_u64().unwrap());
    assert_eq!(parts.sum::<u64>(), 5);
    let error = &stats["errors"][0];
    assert_eq!(
        (&error["outcome"], &error["attempts"], &error["last"]),
        (&"agent-failed".into(), &1.into(), &"4.1".into())
    );
    let text = instance.ok(&["stats", "--by", "day"]);
    assert!(text.contains("75%") && text.contains("agent-failed"), "{text}");
    let csv = instance.ok(&["stats", "--csv", "--by", "provider"]);
    assert!(csv.lines().count() == 3 && csv.contains("\nshell,5,4,3,1,0,1,0,"), "{csv}");
    assert_eq!(instance.ok(&["stats", "-q"]), "5\n");
    // What has ended before is not counted.
    let none = instance.json(&["stats", "--since", "0s"]);
    assert_eq!(none["all"]["tasks"], 0);
}

#[test]
fn the_database_says_how_large_it_is() {
    let instance = Instance::new();
    instance.wait(instance.submit(&[], "true"));
    instance.ok(&["backup"]);
    let view = instance.json(&["stats", "--database"]);
    assert_eq!((&view["tasks"], &view["sessions"]), (&1.into(), &1.into()));
    let verified = instance.json(&["history", "--verify"]);
    assert_eq!(view["head"], verified["head"]);
    assert!(view["bytes"].as_u64().unwrap() > 4096 && view["last_backup"]["path"].is_string(), "{view:#}");
}

#[test]
fn wrong_words_are_told() {
    let instance = Instance::new();
    assert!(instance.fails(2, &["stats", "--since", "soon"]).contains("soon"));
    assert!(instance.fails(2, &["stats", "--by", "colour"]).contains("provider"));
    instance.fails(2, &["stats", "--database", "--csv"]);
}
