use super::{one_slot, refused, running, state, text};
use crate::common::Instance;

#[test]
fn slots_count_at_once() {
    let instance = one_slot();
    let (first, gate) = running(&instance, "gate");
    let second = instance.submit(&[], "true");
    assert_eq!(state(&instance, second), "queued");
    assert_eq!(instance.ok(&["config", "set", "queue.slots", "2"]), "queue.slots = 2\n");
    assert_eq!(instance.wait(second), "passed", "nothing but the setting let it start");
    assert_eq!(instance.json(&["status"])["slots"], 2);
    assert_eq!(instance.ok(&["config", "get", "queue.slots"]), "2\n");
    assert_eq!(instance.ok(&["config", "unset", "queue.slots"]), "queue.slots has its default again\n");
    assert_eq!(instance.json(&["status"])["slots"], 4);
    gate.write("\n");
    assert_eq!(instance.wait(first), "passed");
}

#[test]
fn quiet_prints_names() {
    let instance = Instance::new();
    let names = instance.ok(&["config", "show", "--quiet"]);
    assert!(names.lines().any(|line| line == "queue.slots") && !names.contains('\t'), "{names}");
}

#[test]
fn a_wrong_variable_is_not_looked_for_in_the_file() {
    let instance = Instance::new();
    let output = instance.autodev(&["config", "show"]).env("AUTODEV_QUEUE_SLOTS", "many").output().unwrap();
    let error = text(&output.stderr);
    assert!(error.contains("AUTODEV_QUEUE_SLOTS") && error.contains("hint: unset the variable"), "{error}");
}

#[test]
fn wrong_words_change_nothing() {
    let instance = Instance::new();
    instance.ok(&["status"]);
    refused(
        &instance,
        &[
            (2, &["config", "set", "queue.slots", "0"], &["1 to 1000"]),
            (2, &["config", "set", "queue.slots", "many"], &["number"]),
            (2, &["config", "set", "queue.slotz", "1"], &["did you mean 'queue.slots'"]),
            (2, &["config", "get", "gibberish"], &["config show"]),
            (4, &["config", "unset", "queue.slots"], &["does not set"]),
        ],
    );
    assert!(!instance.home().join("config/config.toml").exists());
    assert_eq!(instance.ok(&["config", "check"]), "nothing is wrong\n");
    let all = instance.json(&["config", "show"]);
    assert!(all.as_array().unwrap().iter().any(|s| s["key"] == "queue.slots" && s["value"] == 4));
    let path = instance.ok(&["config", "path"]);
    assert!(path.ends_with("config/config.toml\n"), "{path}");
}

#[test]
fn a_provider_that_does_not_exist_is_warned_of() {
    let instance = Instance::new();
    let said = |args: &[&str]| {
        let output = instance.run(args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stderr)
    };
    let limit = "warning: providers.cluade is set, but there is no provider 'cluade': did you mean 'claude'?\n";
    let default = "warning: submit.provider is set, but there is no provider 'codxe': did you mean 'codex'?\n";
    assert_eq!(said(&["config", "set", "providers.cluade.slots", "2"]), limit);
    assert_eq!(said(&["config", "set", "submit.provider", "codxe"]), default);
    assert_eq!(said(&["config", "set", "providers.claude.slots", "2"]), "", "only of what is being set");
    assert_eq!(said(&["config", "check"]), format!("{limit}{default}"));
    instance.ok(&["config", "unset", "providers.cluade.slots"]);
    instance.ok(&["config", "unset", "submit.provider"]);
    assert_eq!(said(&["config", "check"]), "");
}

#[test]
fn a_limit_that_is_not_set_is_the_tables() {
    let instance = Instance::new();
    refused(
        &instance,
        &[
            (4, &["config", "get", "providers.claude.per_directory"], &["is not set", "own table counts, and says 1"]),
            (4, &["config", "get", "providers.claude.slots"], &["is not set", "there is no limit"]),
            (4, &["config", "get", "providers.cluade.slots"], &["is not set", "no such provider"]),
        ],
    );
}
