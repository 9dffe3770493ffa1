//! `autodev replay` and its like of sessions the daemon has archived.

use super::{script, text};
use crate::common::Instance;

#[test]
fn a_task_says_what_it_was_told() {
    let instance = Instance::new();
    // Of a long prompt the beginning is in the recording.
    let path = script(&instance, "codex", "echo well done");
    let long = format!("do it well{}", "!".repeat(5_000));
    instance.autodev(&["submit", "-q", "--provider", "codex", &long]).env("PATH", &path).output().unwrap();
    instance.submit(&[], "true; seq 200000");
    assert_eq!(instance.wait(1), "passed");
    assert_eq!(instance.wait(2), "passed");
    let typed = instance.json(&["replay", "1", "--input"]);
    assert_eq!((typed[0]["source"].as_str(), typed[0]["text"].as_str()), (Some("prompt"), Some(&long[..4_096])));
    assert_eq!((typed.as_array().map(Vec::len), typed[0]["omitted"].as_u64()), (Some(1), Some(5_010 - 4_096)));
    // A command is no prompt.
    let nobody = instance.run(&["replay", "2", "--input"]);
    assert!(nobody.status.success() && text(&nobody.stderr).contains("nobody typed"), "{nobody:?}");

    assert_eq!(instance.ok(&["replay", "1", "--speed", "1000"]), "well done\r\n");
    assert!(instance.ok(&["export", "1", "--cast"]).contains("\"o\",\"well done\\r\\n\"]"));
    // Too large for a pack: compressed, and read as ever.
    let directory = loop {
        let view = instance.json(&["show", "2"]);
        let path = view["attempts"][0]["recording"]["path"].as_str().unwrap().to_owned();
        if path.contains("/done/") && std::path::Path::new(&path).exists() {
            break path;
        }
        std::thread::yield_now();
    };
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let segments: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("rec-")).collect();
    assert_eq!(segments, ["rec-000001.raw.zst"]);
    assert_eq!(instance.ok(&["logs", "2"]).lines().count(), 200_000);
    assert!(instance.ok(&["screen", "2"]).ends_with("\n200000\n"));
}
