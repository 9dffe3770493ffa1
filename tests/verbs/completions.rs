use super::{running, text};
use crate::common::Instance;

fn complete(instance: &Instance, words: &[&str]) -> String {
    let mut command = instance.autodev(&[]);
    command.env("AUTODEV_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
    command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true");
    let output = command.arg("--").args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn tasks_sessions_and_providers_are_known() {
    let instance = Instance::new();
    let (_, gate) = running(&instance, "gate");
    instance.submit(&["--hold"], "true");
    instance.ok(&["open", "-q", "--name", "mine", "--", "cat"]);
    let tasks = complete(&instance, &["autodev", "cancel", ""]);
    assert!(tasks.lines().any(|l| l == "1") && tasks.lines().any(|l| l == "2"), "{tasks}");
    assert!(complete(&instance, &["autodev", "cancel", "1,"]).contains("1,2"));
    let sessions = complete(&instance, &["autodev", "attach", ""]);
    assert!(sessions.contains("1.1") && sessions.contains("mine"), "{sessions}");
    assert_eq!(complete(&instance, &["autodev", "submit", "--provider", "cl"]).trim(), "claude");
    assert_eq!(
        complete(&instance, &["autodev", "resu"]).split_whitespace().collect::<Vec<_>>(),
        ["resume", "resubmit"]
    );
    gate.write("\n");
}
