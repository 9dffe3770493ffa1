use super::{one_slot, refused, running};

#[test]
fn tasks_move_and_only_within_bounds() {
    let instance = one_slot();
    let (_, gate) = running(&instance, "gate");
    for name in ["a", "b", "c"] {
        instance.submit(&["-l", name], &format!("echo {name} >> order"));
    }
    instance.ok(&["priority", "4", "100"]);
    instance.ok(&["priority", "--label", "a", "-100"]);
    assert_eq!(instance.ok(&["list", "-q"]), "1\n4\n3\n2\n", "the order in which they will run");
    instance.ok(&["priority", "4", "100"]);
    let events = instance.ok(&["history", "4"]).matches("priority_changed").count();
    assert_eq!(events, 1, "the same priority again is no event");
    refused(
        &instance,
        &[
            (2, &["priority", "2", "101"], &["not a priority: -100 to 100"]),
            (2, &["priority", "2"], &["no task is named"]),
            (4, &["priority", "9", "1"], &["no task 9"]),
        ],
    );
    gate.write("\n");
    instance.ok(&["wait", "1-4"]);
    let order = std::fs::read_to_string(instance.work().join("order")).unwrap();
    assert_eq!(order, "c\nb\na\n");
    refused(&instance, &[(6, &["priority", "2", "1"], &["has ended"])]);
}
