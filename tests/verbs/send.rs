//! `autodev send` and `autodev screen`.

use super::{refused, running, text};
use crate::common::Instance;

#[test]
fn text_and_keys_arrive() {
    let instance = Instance::new();
    let heard = instance.fifo("heard");
    let command = format!("echo ready; while read -r line; do echo \"<$line>\" > {}; done", heard.path());
    instance.ok(&["open", "-q", "--name", "s", "--", "sh", "-c", &command]);
    instance.ok(&["send", "s", "two", "words", "--enter"]);
    assert_eq!(heard.read(), "<two words>\n");
    instance.ok(&["send", "s", "typed"]);
    instance.ok(&["send", "s", "--key", "Enter"]);
    assert_eq!(heard.read(), "<typed>\n");
    assert_eq!(instance.json(&["send", "s", "wrong", "--key", "C-u"])["session"], "s");
    instance.ok(&["send", "s", "right", "--enter"]);
    assert_eq!(heard.read(), "<right>\n", "C-u took the line away");
    std::fs::write(instance.work().join("text"), "from a file\n").unwrap();
    instance.ok(&["send", "s", "-f", "text"]);
    assert_eq!(heard.read(), "<from a file>\n");
    let screen = instance.ok(&["screen", "s"]);
    assert!(screen.starts_with("ready\n") && screen.contains("right") && !screen.contains('\x1b'), "{screen:?}");
    assert_eq!(instance.json(&["detach", "s"])["session"], "s");
    let view = instance.json(&["screen", "s"]);
    assert_eq!(
        (view["session"].as_str(), view["columns"].as_i64(), view["rows"].as_i64()),
        (Some("s"), Some(120), Some(40))
    );
    assert_eq!(view["text"].as_str(), Some(screen.as_str()));
    refused(
        &instance,
        &[
            (2, &["send", "s"], &["nothing to send"]),
            (2, &["send", "s", "--key", "Entr"], &["no key 'Entr'", "Enter"]),
            (2, &["send", "s", "-f", "none"], &["none cannot be read"]),
            (2, &["send", "s", "-f", "/dev/zero"], &["more than 1048512 bytes cannot be sent"]),
            (4, &["send", "nobody", "x"], &["no session 'nobody'"]),
            (4, &["send", "9", "x"], &["no task 9"]),
            (4, &["screen", "nobody"], &["no session 'nobody'"]),
        ],
    );
}

#[test]
fn an_ended_session_takes_nothing_and_the_daemon_is_not_needed() {
    let instance = Instance::new();
    let (task, gate) = running(&instance, "gate");
    instance.kill_daemon();
    instance.ok(&["--no-start", "send", "1", "x", "--enter"]);
    assert!(instance.ok(&["--no-start", "screen", "1.1"]).contains('x'));
    gate.write("\n");
    instance.wait(task);
    refused(&instance, &[(6, &["send", "1", "x"], &["session 1.1 has ended", "autodev logs 1.1"])]);
    // Its last screen comes out of the recording.
    let last = instance.run(&["screen", "1"]);
    assert!(last.status.success() && text(&last.stdout).contains('x'), "{last:?}");
    assert!(text(&last.stderr).contains("session 1.1 has ended"), "{last:?}");
    assert!(instance.ok(&["screen", "1", "--at", "+0s", "--json"]).contains("\"at\":"));
    instance.submit(&["--hold"], "true");
    refused(
        &instance,
        &[(4, &["screen", "2"], &["has not been started"]), (4, &["send", "2", "x"], &["not been started"])],
    );
}
