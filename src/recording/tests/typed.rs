//! Who typed what.

use super::super::input::{Input, MAX_INPUT, Typist};
use super::*;

#[test]
fn what_was_typed_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.input(1, Typist::Prompt, b"do what must be done", 0);
    writer.output(2, b"password: ");
    writer.hidden(3, Typist::Viewer, 1);
    writer.hidden(9, Typist::Viewer, 5);
    writer.input(10, Typist::Viewer, b"ls", 0);
    writer.flush();
    writer.input(15, Typist::Viewer, b" -l\r", 0);
    writer.input(16, Typist::Send, b"x", 0);
    writer.input(40, Typist::Send, b"y", 7);
    writer.flush();
    let input =
        |ms, offset, by, text: &[u8], hidden, omitted| Input { ms, offset, by, text: text.to_vec(), hidden, omitted };
    let expected = [
        input(1, 0, Typist::Prompt, b"do what must be done", 0, 0),
        input(3, 10, Typist::Viewer, b"", 6, 0),
        input(10, 10, Typist::Viewer, b"ls -l\r", 0, 0),
        input(16, 10, Typist::Send, b"x", 0, 0),
        input(40, 10, Typist::Send, b"y", 0, 7),
    ];
    let reader = open(dir.path());
    assert_eq!(reader.inputs(), expected);
    assert_eq!(reader.bursts().len(), 1);
    // A pack has the index as it is.
    let path = dir.path().join("pack");
    let place = pack::append(&path, &[(Uid::new(), dir.path().to_owned())]).unwrap()[0].unwrap();
    assert_eq!(Reader::open(&Source::Pack { path, offset: place }).unwrap().inputs(), expected);
}

#[test]
fn of_a_long_input_the_beginning_is_written_down_and_the_rest_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let text = pattern(3_000);
    // In pieces, as a paste arrives.
    for ms in 0..4 {
        writer.input(ms, Typist::Viewer, &text, 0);
    }
    writer.input(100, Typist::Viewer, b"next", 0);
    writer.flush();
    let inputs = open(dir.path()).inputs();
    assert_eq!(inputs.len(), 2);
    assert_eq!(inputs[0].text, [&text[..], &text[..MAX_INPUT - 3_000]].concat());
    assert_eq!(inputs[0].omitted as usize, 12_000 - MAX_INPUT);
    assert_eq!(inputs[1].text, b"next");
}

#[test]
fn a_disk_that_fails_does_not_fill_the_memory_with_what_is_typed() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("not-there");
    let mut writer = Writer::new(gone.clone(), LIMITS, Timestamp(0));
    for ms in (0..1_000_000).step_by(100) {
        writer.input(ms, Typist::Viewer, b"k", 0);
        writer.flush();
    }
    fs::create_dir(&gone).unwrap();
    writer.flush();
    let noted = open(&gone).inputs().len();
    assert!((1_000..4_000).contains(&noted), "{noted}");
}
