use super::{one_slot, running};

#[test]
fn the_whole_at_a_glance() {
    let instance = one_slot();
    let (_, gate) = running(&instance, "gate");
    instance.submit(&[], "true");
    let status = instance.json(&["status"]);
    assert_eq!((status["slots"].as_i64(), status["slots_used"].as_i64()), (Some(1), Some(1)));
    assert_eq!((status["sessions"].as_i64(), status["pid"].as_u64()), (Some(1), Some(instance.daemon_pid().into())));
    assert_eq!(status["state_directory"].as_str(), instance.state().to_str());
    assert!(status["closed"].is_null() && status["config_error"].is_null());
    let counted = |state: &str| {
        let counts = status["tasks"].as_array().unwrap();
        counts.iter().find(|c| c["state"] == state).unwrap()["tasks"].as_i64().unwrap()
    };
    assert_eq!((counted("running"), counted("queued"), counted("passed")), (1, 1, 0));
    let text = instance.ok(&["status"]);
    assert!(
        text.contains("queue     open") && text.contains("1 of 1 used") && text.contains("1 queued, 1 running"),
        "{text}"
    );
    instance.ok(&["pause"]);
    instance.ok(&["pause", "--provider", "claude"]);
    let text = instance.ok(&["status"]);
    assert!(text.contains("paused: 'autodev resume'") && text.contains("paused    claude"), "{text}");
    gate.write("\n");
}

#[test]
fn wrong_settings_stop_starts_and_are_shown() {
    let instance = one_slot();
    instance.ok(&["status"]);
    let file = instance.home().join("config/config.toml");
    std::fs::write(&file, "[queue]\nslots = \"many\"\n").unwrap();
    instance.ok(&["daemon", "restart"]);
    let text = instance.ok(&["status"]);
    assert!(text.contains("closed, the configuration is wrong") && text.contains("config.toml:2"), "{text}");
    std::fs::write(&file, "[queue]\nslots = 1\n").unwrap();
    instance.ok(&["config", "set", "queue.slots", "2"]);
    assert_eq!(instance.json(&["status"])["slots"], 2);
    assert!(instance.json(&["status"])["closed"].is_null());
}
