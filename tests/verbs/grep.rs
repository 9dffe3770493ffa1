//! `autodev logs --grep`.

use super::refused;
use crate::common::Instance;

#[test]
fn lines_of_one_session_and_of_all() {
    let instance = Instance::new();
    instance.submit(&[], "printf 'one apple\\n\\033[31mtwo\\033[m APPLES\\n'; seq 3");
    instance.submit(&[], "echo nothing here");
    instance.submit(&[], "seq -f 'apple %g' 5; printf '\\nno end: apple'");
    for task in 1..=3 {
        instance.wait(task);
    }
    assert_eq!(instance.ok(&["logs", "--grep", "apple", "1"]), "one apple\n");
    assert_eq!(instance.ok(&["logs", "-i", "--grep", "^(one|two) apple", "1"]), "one apple\ntwo APPLES\n");
    assert_eq!(instance.ok(&["logs", "-g", "apple [45]", "-n", "1", "3"]), "apple 5\n");
    // The newest first; what a session printed last lacks its newline.
    let all = "3.1:apple 3\n3.1:apple 4\n3.1:apple 5\n3.1:no end: apple\n1.1:one apple\n";
    assert_eq!(instance.ok(&["logs", "--grep", "apple [3-9]|[e:] apple$"]), all);
    assert_eq!(instance.ok(&["logs", "-n", "2", "--grep", "apple"]), "3.1:apple 5\n3.1:no end: apple\n");
    assert_eq!(instance.ok(&["logs", "-qig", "apple"]), "3.1\n1.1\n");
    assert_eq!(instance.ok(&["logs", "--json", "-ig", "two"]), "{\"line\":\"two APPLES\",\"session\":\"1.1\"}\n");
    // An empty line is one, and there is one.
    assert_eq!(instance.ok(&["logs", "-g", "^$"]), "3.1:\n");
    let nothing = instance.run(&["logs", "-g", "pear"]);
    assert_eq!((nothing.status.code(), nothing.stdout.len(), nothing.stderr.len()), (Some(1), 0, 0));
    assert_eq!(instance.fails(1, &["logs", "-g", "apple", "2"]), "");
    refused(
        &instance,
        &[
            (2, &["logs", "-g", "a(b"], &["a(b", "unclosed group"]),
            (2, &["logs", "-i", "1"], &["--grep"]),
            (2, &["logs", "-f", "-g", "x", "1"], &["--follow"]),
            (4, &["logs", "-g", "x", "9"], &["no task 9"]),
        ],
    );
}

#[test]
fn a_recording_that_is_damaged_does_not_end_the_search() {
    let instance = Instance::new();
    instance.submit(&[], "echo needle; seq 100000");
    instance.submit(&[], "echo needle too");
    instance.submit(&[], "echo the last needle");
    for task in 1..=3 {
        instance.wait(task);
    }
    // The second and third are small: they come to lie in a pack.
    let done = instance.state().join("sessions/done");
    let entries = || std::fs::read_dir(&done).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let pack = loop {
        let moved = std::fs::read_dir(instance.state().join("sessions/live")).unwrap().next().is_none();
        match entries().into_iter().find(|path| path.extension().is_some_and(|e| e == "pack")) {
            Some(pack) if moved => break pack,
            _ => std::thread::yield_now(),
        }
    };
    let mut bytes = std::fs::read(&pack).unwrap();
    let at = bytes.windows(10).position(|window| window == b"needle too").unwrap();
    bytes[at] = b'N';
    std::fs::write(&pack, bytes).unwrap();
    let output = instance.run(&["logs", "--grep", "needle"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3.1:the last needle\n1.1:needle\n");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("left out") && said.contains("2.1") && said.contains("checksum"), "{said}");
    assert_eq!(output.status.code(), Some(1));

    // Without a daemon what has a directory of its own is searched.
    instance.kill_daemon();
    let output = instance.run(&["--no-start", "logs", "--grep", "needle"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1.1:needle\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("directory of their own"), "{output:?}");
}
