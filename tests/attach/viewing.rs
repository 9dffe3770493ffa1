//! `autodev attach`: what a person at a terminal sees.

use super::support::{Home, LONG, User, code};
use autodev::process::PidFd;
use autodev::socket;

/// Says what it reads. Stands a little down the screen: leaving scrolls two lines away.
const ECHO: &str = "stty -echo; printf '\\n\\n\\n'; echo ready; while read line; do echo \"<$line>\"; done; echo over";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn attach_type_see_and_detach() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    assert!(user.is_raw());
    user.type_(b"hello\r");
    user.see("<hello>");
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
    user.assert_sane();
    let shown = user.shown();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.last(), Some(&"[detached 42.1]"), "{shown}");
    assert!(lines.contains(&"<hello>"), "the picture stays above:\n{shown}\n{}", user.told.escape_ascii());

    // Once more, by the task's number: all is as it was.
    let mut user = User::start(&home, &["attach", "42"]);
    user.see("<hello>");
    user.type_(b"again\r");
    user.see("<again>");
    user.type_(b"\x1b[98;5u\x1b[100u");
    assert_eq!(code(&mut user), 0);
    user.see("[detached 42.1]");
}

#[test]
fn the_prefix_is_known_in_every_encoding_and_not_in_a_paste() {
    let home = Home::new();
    let _session = home.session("42.1", "stty raw -echo; echo ready; exec cat -v");
    for detach in [&b"\x02d"[..], b"\x1b[98;5ud", b"\x1b[98;5u\x1b[100u", b"\x1b[27;5;98~d"] {
        let mut user = User::start(&home, &["attach", "42.1"]);
        user.see("ready");
        user.type_(detach);
        assert_eq!(code(&mut user), 0);
    }
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.type_(b"\x1b[200~a\x02db\x1b[201~");
    user.see("^[[200~a^Bdb^[[201~");
    user.type_(b"\x1b[98;5u\x1b[98;5u\x1b[27;5;98~\x1b[27;5;98~\x02\x02");
    user.see("^[[98;5u^[[27;5;98~^B");
}

#[test]
fn the_last_line_stands_below_the_picture() {
    let home = Home::new();
    let _session = home.session("42.1", "printf 'one\\ntwo\\nthree'; exec cat");
    let _full = home.session("43.1", "seq 100; printf end; exec cat");
    let _alternate = home.session("44.1", "printf 'prompt'; printf '\\033[?1049h\\033[9;9Hinside'; exec cat");
    for (session, text, last) in [("42.1", "three", "three"), ("43.1", "end", "end"), ("44.1", "inside", "prompt")] {
        let mut user = User::start(&home, &["attach", session]);
        user.see(text);
        user.type_(b"\x02d");
        assert_eq!(code(&mut user), 0);
        let expected = format!("{last}\n[detached {session}]\n");
        assert!(user.shown().ends_with(&expected), "{}", user.shown());
        user.assert_plain();
    }
}

#[test]
fn what_stood_on_the_screen_is_scrolled_up_not_painted_over() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut user = User::start(&home, &["attach", "42.1"]);
    let shown = user.see("ready");
    assert!(!shown.contains("$ first"), "{shown}");
    let newlines = user.told.iter().take_while(|b| **b == b'\n').count();
    assert_eq!(newlines, 24);
}

#[test]
fn the_program_ends_and_the_command_says_how() {
    let home = Home::new();
    for (script, status, message) in [
        ("printf '\\n\\n\\n'; read x; echo last words", 0, "[42.1 exited 0]"),
        ("read x; exit 7", 1, "[42.1 exited 7]"),
        ("read x; kill -SEGV $$", 1, "[42.1 killed by signal 11]"),
    ] {
        let session = home.session("42.1", script);
        let mut user = User::start(&home, &["attach"]);
        while !user.is_raw() {
            user.see_that("changes", |_| true);
        }
        user.type_(b"\r");
        assert_eq!(code(&mut user), status, "{script}");
        user.assert_sane();
        let shown = user.shown();
        assert_eq!(shown.lines().last(), Some(message), "{shown}");
        assert!(status != 0 || shown.contains("last words"), "{shown}");
        drop(session);
        std::fs::remove_dir_all(home.dir("42.1").path()).unwrap();
    }
}

#[test]
fn a_session_that_has_just_ended_shows_its_last_picture() {
    let home = Home::new();
    let mut session = home.session("42.1", "printf '\\n\\n\\n'; echo all done; exit 3");
    session.ended();
    let mut user = User::start(&home, &["attach", "42.1"]);
    assert_eq!(code(&mut user), 1);
    let shown = user.shown();
    assert!(shown.contains("all done") && shown.ends_with("[42.1 exited 3]\n"), "{shown}");
    user.assert_sane();
}

#[test]
fn resizing_reaches_the_program() {
    let home = Home::new();
    let script = "trap 'stty size' WINCH; stty size; while :; do read x; done";
    let _session = home.session("42.1", script);
    let mut user = User::start_at(&home, &["attach", "42.1"], (91, 31));
    user.see("31 91");
    user.resize(70, 20);
    user.see("20 70");
}

#[test]
fn control_keys_go_to_the_program_and_signals_leave_a_sane_terminal() {
    let home = Home::new();
    let _session = home.session("42.1", "trap 'echo interrupted' INT; echo ready; while :; do read x; done");
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.type_(b"\x03");
    user.see("interrupted");
    for (signal, status) in [(libc::SIGTERM, 143), (libc::SIGINT, 130), (libc::SIGHUP, 129)] {
        let mut user = User::start(&home, &["attach", "-r", "42.1"]);
        user.see("interrupted");
        user.signal(signal);
        assert_eq!(code(&mut user), status);
        user.assert_sane();
    }
}

#[test]
fn stopping_gives_the_terminal_back_until_it_goes_on() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.signal(libc::SIGTSTP);
    // Nobody tells us when it has stopped but its state.
    let deadline = std::time::Instant::now() + LONG;
    while autodev::process::stat(user.pid()).unwrap().state != 'T' {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    user.assert_sane();
    user.signal(libc::SIGCONT);
    user.see("ready");
    user.type_(b"back\r");
    user.see("<back>");
    assert!(user.is_raw());
}

#[test]
fn watchers_see_and_do_not_type() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut writer = User::start(&home, &["attach", "42.1"]);
    writer.see("ready");
    let mut watcher = User::start(&home, &["attach", "--read-only", "42.1"]);
    watcher.see("ready");
    watcher.type_(b"nobody reads this\r");
    writer.type_(b"from the writer\r");
    writer.see("<from the writer>");
    let shown = watcher.see("<from the writer>");
    assert!(!shown.contains("nobody"), "{shown}");
    watcher.type_(b"\x02d");
    assert_eq!(code(&mut watcher), 0);
    writer.type_(b"still here\r");
    assert!(!writer.see("<still here>").contains("nobody"));
}

#[test]
fn a_second_writer_is_refused_unless_it_takes_over() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut first = User::start(&home, &["attach", "42.1"]);
    first.see("ready");
    let mut second = User::start(&home, &["attach", "42.1"]);
    assert_eq!(code(&mut second), 6);
    second.assert_sane();
    assert!(second.shown().contains("--takeover"), "{}", second.shown());

    let mut third = User::start(&home, &["attach", "--takeover", "42.1"]);
    third.see("ready");
    assert_eq!(code(&mut first), 0);
    assert!(first.shown().contains("[detached 42.1: "), "{}", first.shown());
    first.assert_sane();
    third.type_(b"mine\r");
    third.see("<mine>");

    assert!(home.run(&["detach", "42"]).status.success());
    assert_eq!(code(&mut third), 0);
    third.assert_sane();
}

#[test]
fn killing_the_client_leaves_the_session_running() {
    let home = Home::new();
    let mut session = home.session("42.1", ECHO);
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.signal(libc::SIGKILL);
    assert!(!user.ended().success());
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.type_(b"alive\r");
    user.see("<alive>");
    assert!(session.keeper.try_wait().unwrap().is_none());

    // The keeper's own end is said as well.
    session.keeper.kill().unwrap();
    assert_eq!(code(&mut user), 1);
    assert!(user.shown().ends_with("[42.1 is lost: its keeper has ended]\n"), "{}", user.shown());
    user.assert_sane();
}

#[test]
fn a_removed_runtime_directory_does_no_harm() {
    let home = Home::new();
    let session = home.session("42.1", ECHO);
    std::fs::remove_dir_all(home.sockets()).unwrap();
    assert!(!session.socket().exists());
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.type_(b"found\r");
    user.see("<found>");
}

#[test]
fn next_and_previous_session_in_the_same_terminal() {
    let home = Home::new();
    let _first = home.session("42.1", "echo one; cat");
    let _second = home.session("43.1", "echo two; cat");
    let _third = home.session("review", "echo three; cat");
    let mut user = User::start(&home, &["attach", "43"]);
    user.see("two");
    user.type_(b"\x02n");
    user.see_that("shows the third", |screen| screen.contains("three") && !screen.contains("two"));
    user.type_(b"\x02n");
    user.see_that("shows the first", |screen| screen.contains("one") && !screen.contains("three"));
    user.type_(b"\x02p");
    user.see("three");
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
    assert!(user.shown().ends_with("[detached review]\n"), "{}", user.shown());
    user.assert_sane();
}

#[test]
fn help_and_questions_lie_over_the_picture_and_go_away() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.type_(b"\x02?");
    let help = user.see("any key goes back");
    for key in ["d", "n", "p", "w", "[", "s", "r", "D", "x", ":", "?", "C-b"] {
        assert!(help.contains(&format!("C-b {key} ")), "{help}");
    }
    user.type_(b"q");
    user.see_that("is as before", |screen| screen.contains("ready") && !screen.contains("goes back"));
    // Ending it needs the daemon; the session is not harmed by its absence.
    user.type_(b"\x02x");
    user.see("(y/n)");
    user.type_(b"y");
    user.see("sessions are ended by the daemon");
    user.type_(b" ");
    user.see_that("is as before", |screen| !screen.contains("daemon"));
    user.type_(b"\x02xn");
    user.type_(b"on\r");
    let shown = user.see("<on>");
    assert!(!shown.contains("<q"), "{shown}");
    // The prefix twice goes to the program, and an unknown key rings.
    user.told.clear();
    user.type_(b"\x02\x02two\r\x02!");
    user.see("two>");
    while !user.told.contains(&0x07) {
        user.see_that("changes", |_| true);
    }
}

#[test]
fn nothing_is_attached_without_a_terminal_within_itself_or_where_there_is_nothing() {
    let home = Home::new();
    let output = home.run(&["attach", "42.1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("terminal"), "{}", text(&output.stderr));

    let mut user = User::start(&home, &["attach"]);
    assert_eq!(code(&mut user), 4);
    user.see("no live session");

    let _session = home.session("42.1", ECHO);
    let mut command = home.autodev(&["attach", "42"]);
    command.env("AUTODEV_SESSION", "42.1");
    let mut user = User::run(command, (80, 24));
    assert_eq!(code(&mut user), 6);
    user.assert_sane();
    user.see("cannot show itself");
}

#[test]
fn another_prefix_and_a_hint_inside_tmux() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut command = home.autodev(&["attach", "42.1"]);
    command.env("TMUX", "/tmp/tmux-0/default,1,0");
    let mut user = User::run(command, (80, 24));
    user.see("ready");
    assert!(text(&user.told).contains("C-b C-b d detaches (you are inside tmux)"));
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);

    std::fs::create_dir_all(home.path().join("config")).unwrap();
    std::fs::write(home.path().join("config/config.toml"), "[attach]\nprefix = \"C-a\"\n").unwrap();
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.type_(b"\x02\r");
    user.type_(b"\x01d");
    assert_eq!(code(&mut user), 0);
    user.see("[detached 42.1]");
}

#[test]
fn a_terminal_that_is_gone_ends_the_client_and_not_the_session() {
    let home = Home::new();
    let _session = home.session("42.1", ECHO);
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    let client = PidFd::open(user.pid()).unwrap();
    user.hang_up();
    assert!(socket::readable(&client, LONG).unwrap(), "the client does not end");
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
}

#[test]
fn a_flood_reaches_a_slow_terminal_as_its_end() {
    let home = Home::new();
    let script = "read go; seq -f 'line %g of a flood' 100000; echo the end; read x";
    let _session = home.session("42.1", script);
    let mut user = User::start(&home, &["attach", "42.1"]);
    while !user.is_raw() {
        user.see_that("changes", |_| true);
    }
    user.type_(b"go\r");
    // Nothing is read for as long as the program needs; then only the end counts.
    let mut watcher = User::start(&home, &["attach", "-r", "42.1"]);
    watcher.see("the end");
    user.see("the end");
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
    user.assert_sane();
}

#[test]
fn open_attach_and_end_it_with_a_daemon() {
    let home = Home::new();
    let mut user = User::run(home.with_daemon(&["open", "--", "sh", "-c", ECHO]), (80, 24));
    user.see("ready");
    user.type_(b"hello\r");
    user.see("<hello>");
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
    assert!(text(&user.told).contains("opened session sh-1"));

    let renamed = home.with_daemon(&["rename", "sh-1", "review"]).output().unwrap();
    assert!(renamed.status.success(), "{}", text(&renamed.stderr));
    // Within it, by its former name, it is refused; from outside it is found.
    let mut command = home.autodev(&["attach", "review"]);
    command.env("AUTODEV_SESSION", "sh-1");
    assert_eq!(code(&mut User::run(command, (80, 24))), 6);
    let mut user = User::start(&home, &["attach"]);
    user.see("<hello>");
    user.type_(b"\x02x");
    user.see("end session review and everything in it? (y/n)");
    user.type_(b"y");
    assert_eq!(code(&mut user), 1);
    user.assert_sane();
    user.see("[review killed by signal 2]");

    // What it printed is still there, and nothing can be typed to it.
    let logs = home.with_daemon(&["logs", "review"]).output().unwrap();
    assert!(text(&logs.stdout).contains("<hello>"), "{} {}", text(&logs.stdout), text(&logs.stderr));
    let send = home.with_daemon(&["send", "review", "x"]).output().unwrap();
    assert_eq!(send.status.code(), Some(6));
    assert!(text(&send.stderr).contains("autodev logs review"), "{}", text(&send.stderr));
}

#[test]
fn a_task_is_followed_from_before_its_start_to_its_end() {
    let home = Home::new();
    let submit = |arguments: &[&str]| {
        let output = home.with_daemon(&[&["submit", "-q"], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    for options in [&["--in", "1s"][..], &[]] {
        let task = submit(&[options, &["--", "sh", "-c", "echo one; sleep 0.1; echo two"]].concat());
        let logs = home.with_daemon(&["logs", "-f", &task]).output().unwrap();
        assert!(logs.status.success(), "{}", text(&logs.stderr));
        assert_eq!(text(&logs.stdout), "one\ntwo\n");
    }
    let mut user =
        User::run(home.with_daemon(&["submit", "--attach", "--", "sh", "-c", "echo here; read x; exit 4"]), (80, 24));
    user.see("here");
    user.type_(b"\r");
    assert_eq!(code(&mut user), 1);
    user.see("[3.1 exited 4]");
}

/// A laptop that sleeps while the program ends: nobody waits for it.
#[test]
fn one_who_was_suspended_hears_how_it_ended() {
    let home = Home::new();
    let mut session = home.session("42.1", "echo ready; read go; seq 1000000; exit 3");
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.signal(libc::SIGSTOP);
    home.run(&["send", "42.1", "go", "--enter"]);
    session.ended();
    // The keeper leaves with what it could not tell, and the daemon archives the session.
    let (live, done) = (session.dir.0.clone(), home.path().join("done"));
    drop(session);
    std::fs::rename(live, done).unwrap();
    user.signal(libc::SIGCONT);
    user.see("[42.1 exited 3]");
    assert_eq!(code(&mut user), 1);
    user.assert_sane();
}
