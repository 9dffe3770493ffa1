use super::refused;
use crate::common::Instance;

#[test]
fn everything_about_one_task() {
    let instance = Instance::new();
    let task = instance.submit(&["--title", "The title", "-l", "x"], "echo out; exit 4");
    instance.wait(task);
    instance.ok(&["retry", "1"]);
    instance.wait(task);
    let text = instance.ok(&["show", "1"]);
    for words in [
        "task 1: The title",
        "failed",
        "agent-failed",
        "exit status  4",
        "1.1",
        "1.2",
        "echo out; exit 4",
        "labels       x",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert!(!text.contains('\x1b'));
    let shown = instance.json(&["show", "1"]);
    let attempts = shown["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "one try and another");
    assert_eq!(attempts[0]["outcome"], "agent-failed");
    assert!(attempts[1]["argv"].to_string().contains("exit 4"));
    assert_eq!(attempts[1]["recording"]["bytes"], 5);
    assert_eq!(attempts[1]["recording"]["sha256"].as_str().unwrap().len(), 64);
    // Names of variables, never their values.
    assert!(shown["environment"].as_array().unwrap().contains(&"PATH".into()));
    assert_eq!(shown["task"]["description"], "sh -c 'echo out; exit 4'");
    assert_eq!(shown["task"]["command"], serde_json::json!(["sh", "-c", "echo out; exit 4"]));
    assert_eq!(shown["task"]["error_count"], 2);
    assert_eq!(instance.ok(&["show", "-q", "1"]), "1\n");
}

#[test]
fn wrong_words() {
    let instance = Instance::new();
    refused(
        &instance,
        &[
            (4, &["show", "9"], &["no task 9", "autodev list --all"]),
            (2, &["show", "x"], &["not a task number"]),
            (2, &["show", "1", "2"], &["unexpected argument"]),
        ],
    );
}
