//! Every encoding of the prefix, cut at every byte.

use super::*;

/// What came of some input: bytes for the program and keys for us.
fn run(chunks: &[&[u8]]) -> (Vec<u8>, Vec<Key>) {
    let mut keys = Keys::new("C-b".parse().unwrap());
    let (mut pass, mut ours) = feed(&mut keys, chunks);
    ours.extend(keys.give_up(&mut pass));
    (pass, ours)
}

fn feed(keys: &mut Keys, chunks: &[&[u8]]) -> (Vec<u8>, Vec<Key>) {
    let (mut pass, mut ours) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let mut rest = *chunk;
        while !rest.is_empty() {
            let (used, key) = keys.feed(rest, &mut pass);
            assert!(used > 0);
            rest = &rest[used..];
            ours.extend(key);
        }
    }
    (pass, ours)
}

/// The same for every way to cut the input in two, and for single bytes.
fn check(input: &[u8], pass: &[u8], ours: &[Key]) {
    for cut in 0..=input.len() {
        let found = run(&[&input[..cut], &input[cut..]]);
        assert_eq!(found, (pass.to_vec(), ours.to_vec()), "{:?} cut at {cut}", input.escape_ascii().to_string());
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&bytes), (pass.to_vec(), ours.to_vec()), "{:?} in bytes", input.escape_ascii().to_string());
}

const D: Key = Key::Char('d');

#[test]
fn everything_else_passes_untouched() {
    for text in [
        b"hello \x03\x04\r".as_slice(),
        "Grüße 日本語 👩‍👩‍👧".as_bytes(),
        b"\x1b[A\x1bOP\x1b[1;5C\x1bb\x1b\x1b[A\x1b[<35;10;20M\x1b[M !!\x1b[I\x1b[O",
        b"\x1b[97;5u\x1b[98u\x1b[98;6u\x1b[98;3u\x1b[27;5;97~\x1b[98;5:3u",
        b"\x1b]11;rgb:0000/0000/0000\x1b\\\x1b[?62;c\x1b[24;80R",
        b"\x1b",
        b"\x1b[12",
    ] {
        check(text, text, &[]);
    }
    let long = [b"\x1b[".as_slice(), &[b'1'; 500], b"u"].concat();
    check(&long, &long, &[]);
}

#[test]
fn the_prefix_is_known_in_every_encoding() {
    let presses: [&[u8]; 7] = [
        b"\x02",
        b"\x1b[98;5u",
        b"\x1b[98;5:1u",
        b"\x1b[98:66;5;98u",
        b"\x1b[98;133u", // with num lock
        b"\x1b[1080::98;5u",
        b"\x1b[27;5;98~",
    ];
    for prefix in presses {
        let with = |after: &[u8]| [b"a".as_slice(), prefix, after].concat();
        check(&with(b"db"), b"ab", &[D]);
        check(&with(b"\x1b[100ub"), b"ab", &[D]);
        check(&with(b"?"), b"a", &[Key::Char('?')]);
        check(&with(b"\x1b[47;2u"), b"a", &[Key::Char('?')]);
        check(&with(b"\x1b[47:63;2u"), b"a", &[Key::Char('?')]);
        check(&with(b"\x1b[100;2u"), b"a", &[Key::Char('D')]);
        check(&with(b"\x1b[27;2;68~"), b"a", &[Key::Char('D')]);
        check(&with(b"\x1b[Ab"), b"ab", &[Key::Up]);
        check(&with(b"\x1bOPb"), b"ab", &[Key::Other]);
        check(&with(b"\x01b"), b"ab", &[Key::Control('a')]);
        check(&with(b"\x1b"), b"a", &[Key::Escape]);
        // Twice sends it, as it was typed.
        check(&with(&[prefix, b"d"].concat()), &[b"a", prefix, b"d"].concat(), &[]);
        // The mouse between prefix and command is the program's.
        check(&with(b"\x1b[<35;10;20M\x1b[Id"), b"a\x1b[<35;10;20M\x1b[I", &[D]);
    }
}

/// With kitty's event types on, releases of what we took are ours, others are not.
#[test]
fn releases_follow_their_presses() {
    let press = b"\x1b[57442;5u\x1b[98;5u\x1b[98;5:3u\x1b[57442;1:3u\x1b[100u\x1b[100;1:3u";
    check(press, b"\x1b[57442;5u\x1b[57442;1:3u", &[D]);
    // The prefix is let go only after the command key is down.
    check(b"\x1b[98;5u\x1b[100u\x1b[98;5:3u\x1b[100;1:3u", b"", &[D]);
    check(b"\x1b[97u\x1b[97;1:3u", b"\x1b[97u\x1b[97;1:3u", &[]);
    let twice = b"\x1b[98;5u\x1b[98;5:3u\x1b[98;5u\x1b[98;5:3u";
    check(twice, b"\x1b[98;5u\x1b[98;5:3u", &[]);
}

#[test]
fn a_paste_is_left_alone() {
    let paste = b"\x1b[200~x\x02d\x1b[98;5ud\x1b[20\x1b\x1b[201~";
    check(paste, paste, &[]);
    check(&[paste.as_slice(), b"\x02d"].concat(), paste, &[D]);
    check(b"\x02\x1b[200~d\x1b[201~d", b"\x1b[200~d\x1b[201~d", &[]);

    // Its beginning came in two parts with a long time between.
    let mut keys = Keys::new("C-b".parse().unwrap());
    let mut pass = Vec::new();
    keys.feed(b"\x1b[20", &mut pass);
    assert!(keys.waits());
    assert_eq!(keys.give_up(&mut pass), None);
    assert!(!keys.waits());
    assert_eq!(keys.feed(b"0~\x02d", &mut pass), (4, None));
    assert_eq!(pass, b"\x1b[200~\x02d");

    // Its end never comes.
    keys.paused();
    assert_eq!(keys.feed(b"\x02d", &mut pass), (2, Some(D)));
}

#[test]
fn a_lone_escape_is_late_but_not_lost() {
    let mut keys = Keys::new("C-b".parse().unwrap());
    let mut pass = Vec::new();
    assert_eq!(keys.feed(b"\x1b", &mut pass), (1, None));
    assert!(pass.is_empty() && keys.waits());
    assert_eq!(keys.give_up(&mut pass), None);
    assert_eq!(pass, b"\x1b");
    assert_eq!(keys.give_up(&mut pass), None);
    assert_eq!(keys.feed(b"\x02d", &mut pass), (2, Some(D)));
    // Alt and [ typed, then the prefix.
    assert_eq!(keys.feed(b"\x1b[\x02d", &mut pass), (4, Some(D)));
    assert_eq!(pass, b"\x1b\x1b[");
    // Escape and the prefix's byte is alt, control and the key: another key.
    assert_eq!(keys.feed(b"\x1b\x02d", &mut pass), (3, None));
}

#[test]
fn an_answer_is_taken_even_when_it_is_the_prefix() {
    let mut keys = Keys::new("C-b".parse().unwrap());
    let mut pass = Vec::new();
    for (input, key) in [
        (b"y".as_slice(), Key::Char('y')),
        (b"\x02", Key::Control('b')),
        (b"\x1b[98;5u", Key::Control('b')),
        (b"\x1b[121u", Key::Char('y')),
        (b"\r", Key::Enter),
        (b"\x1b[13u", Key::Enter),
        (b"\x1b[27u", Key::Escape),
        (b"\x1b[57361u", Key::Other),
        (b"\x1b[5~", Key::PageUp),
        (b"\x1bOH", Key::Home),
        (b"\x7f", Key::Backspace),
        (b"\x1b[127u", Key::Backspace),
        ("\u{e9}".as_bytes(), Key::Char('\u{e9}')),
        (b"\xff", Key::Other),
    ] {
        keys.ask();
        assert_eq!(keys.feed(input, &mut pass), (input.len(), Some(key)));
    }
    assert!(pass.is_empty());
}

#[test]
fn prefixes_have_names() {
    for (name, byte) in
        [("C-b", 2), ("C-a", 1), ("c-A", 1), ("C-Space", 0), ("C-@", 0), ("C-\\", 0x1c), ("C-]", 0x1d), ("C-_", 0x1f)]
    {
        assert_eq!(name.parse::<Prefix>().unwrap().byte, byte, "{name}");
    }
    for bad in ["", "b", "C-", "C-[", "C-bb", "M-b", "C-é", "C-1", "F1"] {
        assert!(bad.parse::<Prefix>().is_err(), "{bad}");
    }
    assert_eq!("c-A".parse::<Prefix>().unwrap().name(), "C-a");
    assert_eq!("C-Space".parse::<Prefix>().unwrap().name(), "C-Space");
    // When keys are ours it is the same key, however it comes.
    for (name, code) in [("C-b", 0x62), ("C-Space", 0x20), ("C-@", 0x20), ("C-@", 0x40), ("C-\\", 0x5c), ("C-_", 0x5f)]
    {
        let prefix = name.parse::<Prefix>().unwrap();
        for input in [vec![prefix.byte], format!("\x1b[{code};5u").into_bytes()] {
            let mut keys = Keys::new(prefix);
            keys.ask();
            assert_eq!(feed(&mut keys, &[&input]).1, [prefix.key()], "{name} {code}");
        }
    }
}

/// No input, however cut, loses or invents a byte unless the prefix is in it.
#[test]
fn any_input_without_a_prefix_comes_out_whole() {
    use proptest::prelude::*;
    let part = prop_oneof![
        Just(b"\x1b".to_vec()),
        Just(b"\x1b[".to_vec()),
        Just(b"\x1b[200~".to_vec()),
        Just(b"\x1b[201~".to_vec()),
        Just(b"\x1bO".to_vec()),
        Just(b"\x1b[97;5u".to_vec()),
        "[ -~]{0,6}".prop_map(String::into_bytes),
        proptest::collection::vec(3u8..=255, 0..6),
    ];
    proptest!(|(parts in proptest::collection::vec(part, 0..20), cut in any::<prop::sample::Index>())| {
        let input = parts.concat();
        // Chance may spell the prefix out.
        prop_assume!(memchr::memmem::find(&input, b"98;").is_none() && memchr::memmem::find(&input, b":98").is_none());
        let at = cut.index(input.len() + 1);
        let (pass, ours) = run(&[&input[..at], &input[at..]]);
        prop_assert_eq!(pass, input);
        prop_assert!(ours.is_empty());
    });
}

#[test]
fn a_paste_is_no_answer_and_does_not_reach_the_program() {
    let input = b"\x1b[200~rm -rf\r\x1b[201~y";
    for cut in 0..input.len() {
        let mut keys = Keys::new("C-b".parse().unwrap());
        keys.ask();
        let found = feed(&mut keys, &[&input[..cut], &input[cut..]]);
        assert_eq!(found, (Vec::new(), vec![Key::Char('y')]), "{cut}");
    }
}

#[test]
fn a_key_of_ours_in_two_pieces_does_not_reach_the_program() {
    let mut keys = Keys::new("C-b".parse().unwrap());
    let mut pass = Vec::new();
    keys.ask();
    assert_eq!(keys.feed(b"\x1b[", &mut pass), (2, None));
    assert_eq!(keys.give_up(&mut pass), None);
    assert_eq!(keys.feed(b"A", &mut pass), (1, Some(Key::Up)));
    assert!(pass.is_empty());
    // What is awaited no more is the program's again.
    keys.ask();
    keys.ask_no_more();
    assert_eq!(keys.feed(b"x", &mut pass), (1, None));
    assert_eq!(pass, b"x");
}

#[test]
fn the_mouse_is_the_programs_in_the_old_way_too() {
    check(b"\x02\x1b[M #$d", b"\x1b[M #$", &[D]);
}
