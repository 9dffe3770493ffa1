use super::{column, one_slot, refused, running};

#[test]
fn the_chain_down_to_what_holds_it_up() {
    let instance = one_slot();
    let (_, gate) = running(&instance, "gate");
    instance.submit(&["--hold"], "true");
    instance.submit(&["--after", "2"], "true");
    instance.submit(&["--after", "3"], "true");
    instance.submit(&[], "true");
    instance.submit(&["--in", "2h"], "true");
    let chain = instance.json(&["why", "4"]);
    assert_eq!(column(&chain, "task"), ["4", "3", "2"]);
    assert_eq!(chain[0]["reason"]["code"], "Dependency");
    assert_eq!(chain[2]["reason"]["code"], "Held");
    let text = instance.ok(&["why", "4"]);
    assert!(text.contains("task 4 is queued (Dependency)") && text.contains("'autodev release'"), "{text}");
    assert_eq!(instance.ok(&["why", "-q", "4"]), "4\n3\n2\n");
    assert!(instance.ok(&["why", "5"]).contains("(Slots): the only slot is taken"));
    assert!(instance.ok(&["why", "6"]).contains("(Begin)"));
    assert!(instance.ok(&["why", "1"]).contains("'autodev attach 1.1' shows it"));
    gate.write("\n");
    instance.wait(1);
    assert_eq!(instance.ok(&["why", "1"]), "task 1 passed\n");
    refused(&instance, &[(4, &["why", "9"], &["no task 9"]), (2, &["why"], &["<TASK>"])]);
}
