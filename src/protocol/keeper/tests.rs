use super::*;

fn hello() -> KeeperHello {
    KeeperHello {
        version: 1,
        pid: 7,
        start: 8,
        generation: 9,
        phase: Phase::Started,
        child: 10,
        uid: Uid::from_bytes([1; 16]),
        build: "0.1.0".into(),
    }
}

fn to_keeper() -> Vec<ToKeeper> {
    vec![
        ToKeeper::Hello { version: 1, role: Role::Controller, generation: 3 },
        ToKeeper::Go { generation: 3, order: 1 },
        ToKeeper::Stop { generation: 3, order: 2, how: How::Gently },
        ToKeeper::Freeze { generation: 3, order: 3, frozen: true },
        ToKeeper::Acknowledge { generation: 3, order: 4 },
        ToKeeper::Attach(Attach {
            read_only: true,
            takeover: true,
            pictures: true,
            history_lines: 500,
            columns: 80,
            rows: 24,
        }),
        ToKeeper::Input(b"ls\r".to_vec()),
        ToKeeper::Resize { columns: 120, rows: 40 },
        ToKeeper::Repaint,
        ToKeeper::Screen { ansi: true },
        ToKeeper::Send { paste: true, enter: true, bytes: b"yes".to_vec() },
        ToKeeper::DetachAll,
        ToKeeper::Follow,
        ToKeeper::Status,
        ToKeeper::Environment(vec![("A_KEY".into(), "secret".into())]),
        ToKeeper::Looks(Looks { foreground: [1, 2, 3], background: [4, 5, 6], cursor: [7, 8, 9], cell: (10, 20) }),
        ToKeeper::Below,
        ToKeeper::Blot(vec!["a secret".into(), "another".into()]),
        ToKeeper::Redact(b"a text".to_vec()),
        ToKeeper::Measure,
    ]
}

fn from_keeper() -> Vec<FromKeeper> {
    vec![
        FromKeeper::Hello(hello()),
        FromKeeper::Started { pid: 10, start: 11 },
        FromKeeper::Exited(b"{}".to_vec()),
        FromKeeper::Output { offset: 5, bytes: b"hi".to_vec() },
        FromKeeper::Picture { offset: 5, bytes: b"\x1b[m".to_vec() },
        FromKeeper::Screen { columns: 80, rows: 24, text: b"hi\n".to_vec() },
        FromKeeper::Status(KeeperStatus {
            ran_ms: Some(77),
            columns: 80,
            rows: 24,
            writers: 1,
            watchers: 2,
            bytes: 3,
            lost: 4,
            frozen: true,
            rang: true,
            quiet_ms: 5,
            title: "a title".into(),
        }),
        FromKeeper::Refused { code: RefusedCode::Busy, reason: "no".into() },
        FromKeeper::Done,
        FromKeeper::Skipped { from: 1, to: 2 },
        FromKeeper::Detached { reason: "taken over".into() },
        FromKeeper::Following { offset: 9 },
        FromKeeper::Below { row: 7 },
        FromKeeper::Intruder { pid: 7, what: "send".into() },
        FromKeeper::Redacted(b"a text".to_vec()),
        FromKeeper::Usage(Usage { cpu_ms: 1, memory_bytes: 2, processes: 3, peak_memory_bytes: 4, peak_processes: 5 }),
    ]
}

#[test]
fn messages_survive_the_wire() {
    for (index, message) in to_keeper().into_iter().enumerate() {
        let bytes = message.encode();
        let Whole { kind, payload, length: used } = split(&bytes).unwrap().unwrap();
        assert_eq!((usize::from(kind), used), (index + 1, bytes.len()));
        assert_eq!(ToKeeper::decode(kind, payload).unwrap(), Some(message));
    }
    for (index, message) in from_keeper().into_iter().enumerate() {
        let bytes = message.encode();
        let Whole { kind, payload, length: used } = split(&bytes).unwrap().unwrap();
        assert_eq!((usize::from(kind), used), (index + 64, bytes.len()));
        assert_eq!(FromKeeper::decode(kind, payload).unwrap(), Some(message));
    }
}

/// A cut message is damaged, never another message; added fields are ignored.
#[test]
fn cut_and_longer_messages() {
    for message in to_keeper() {
        let bytes = message.encode();
        let (kind, payload) = (bytes[4], &bytes[5..]);
        for end in 0..payload.len() {
            let cut = ToKeeper::decode(kind, &payload[..end]);
            match (&message, &cut) {
                // Keys are whatever arrived; a list may be cut between two of its items.
                (ToKeeper::Input(_), _) => {}
                (ToKeeper::Environment(whole), Ok(Some(ToKeeper::Environment(part)))) => {
                    assert!(whole.starts_with(part) && part.len() < whole.len());
                }
                (ToKeeper::Blot(whole), Ok(Some(ToKeeper::Blot(part)))) => {
                    assert!(whole.starts_with(part) && part.len() < whole.len());
                }
                _ => assert_eq!(cut, Err(BadMessage::Damaged(kind))),
            }
        }
        // A list that takes the rest of its frame cannot grow another field.
        if !matches!(message, ToKeeper::Environment(_) | ToKeeper::Blot(_)) {
            let longer = [payload, b"new field"].concat();
            assert!(matches!(ToKeeper::decode(kind, &longer), Ok(Some(_))));
        }
    }
    assert_eq!(ToKeeper::decode(200, b"whatever"), Ok(None));
    assert_eq!(FromKeeper::decode(200, b"whatever"), Ok(None));
}

#[test]
fn hostile_lengths_are_refused_at_once() {
    assert_eq!(split(&[0, 0, 0, 0]), Err(BadMessage::Length(0)));
    assert_eq!(split(&[255, 255, 255, 255]), Err(BadMessage::Length(u32::MAX as usize)));
    assert_eq!(split(&[1, 0]), Ok(None));
    assert_eq!(split(&[2, 0, 0, 0, 9]), Ok(None));
}

/// These bytes are what keepers that already run understand.
#[test]
fn golden_bytes() {
    assert_eq!(
        ToKeeper::Go { generation: 3, order: 1 }.encode(),
        b"\x11\0\0\0\x02\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"
    );
    assert_eq!(ToKeeper::Resize { columns: 120, rows: 40 }.encode(), b"\x05\0\0\0\x08\x78\0\x28\0");
    assert_eq!(FromKeeper::Done.encode(), b"\x01\0\0\0\x48");
    assert_eq!(output(5, b"hi"), b"\x0b\0\0\0\x43\x05\0\0\0\0\0\0\0hi");
}
