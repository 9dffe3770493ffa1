//! Who typed what, as the recording has it.

use autodev::protocol::keeper::{FromKeeper, ToKeeper};
use autodev::protocol::launch::Prompt;
use autodev::recording::input::Typist;
use autodev::recording::{Reader, Source};

use super::support::{Home, Session, sized};

/// Who, what, and how many bytes of it are not written down, hidden and omitted. Whether
/// two inputs are one depends on how fast they follow one another.
fn typed(session: &Session) -> Vec<(Typist, String, u64, u64)> {
    let reader = Reader::open(&Source::Directory(session.home.dir().0)).unwrap();
    let mut found: Vec<(Typist, String, u64, u64)> = Vec::new();
    for input in reader.inputs() {
        let text = String::from_utf8(input.text).unwrap();
        match found.last_mut() {
            Some((by, before, 0, 0)) if *by == input.by && input.hidden == 0 => before.push_str(&text),
            _ => found.push((input.by, text, input.hidden, input.omitted)),
        }
    }
    found
}

#[test]
fn the_recording_says_who_typed_what_but_no_password() {
    let script = "printf 'name '; read name; stty -echo; printf 'password '; read password; stty echo; \
                  printf 'device \\033[5n'; read device; stty raw -echo; printf 'key '; head -c 1 > /dev/null";
    let mut home = Home::script(script);
    home.spec.prompt = Some(Prompt::of("do äll of it", 4));
    let mut session = home.run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("name");
    viewer.send(&ToKeeper::Input(b"me\r".to_vec()));
    viewer.see("password");
    viewer.send(&ToKeeper::Input(b"secret\r".to_vec()));
    // The answer of the terminal, which is the keeper, is nobody's.
    viewer.see("device");
    let mut client = session.client();
    client.send(&ToKeeper::Send { paste: false, enter: true, bytes: b"none".to_vec() });
    client.wait(|m| (m == FromKeeper::Done).then_some(()));
    viewer.see("key");
    viewer.send(&ToKeeper::Input(b"k".to_vec()));
    session.exit();
    assert_eq!(
        typed(&session),
        [
            (Typist::Prompt, "do ".to_owned(), 0, 10),
            (Typist::Viewer, "me\r".to_owned(), 0, 0),
            (Typist::Viewer, String::new(), 7, 0),
            (Typist::Send, "none\r".to_owned(), 0, 0),
            (Typist::Viewer, "k".to_owned(), 0, 0),
        ]
    );
    for entry in std::fs::read_dir(session.home.dir().0).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"secret"), "{}", path.display());
    }
}
