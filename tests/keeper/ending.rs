//! Nothing is left over, and the reason is the right one.

use autodev::lock::FileLock;
use autodev::process::{PidFd, ProcessId};
use autodev::protocol::exit::ExitReason;
use autodev::protocol::keeper::{How, ToKeeper};
use autodev::socket;

use super::support::{Home, LONG, Session, sized, status};

/// Gone from the processes, or about to be: waits by handle.
fn gone(pid: u32) {
    if let Some(handle) = PidFd::open(pid) {
        assert!(socket::readable(&handle, LONG).unwrap(), "process {pid} lives on");
    }
}

/// Leaves the session, ignores all that can be ignored.
const STUBBORN: &str = "setsid sh -c 'trap \"\" INT TERM HUP; echo stub\"\"born; while :; do sleep 1000; done' & ";

#[test]
fn a_stop_now_ends_the_whole_tree() {
    let mut session = Home::script(&format!("{STUBBORN} setsid sleep 1000 & sleep 1000")).run();
    session.attach(sized(80, 24)).0.see("stubborn");
    assert!(session.home.processes().len() >= 3);
    session.stop(How::Now);
    let record = session.exit();
    assert_eq!((record.reason, record.exit.signal), (ExitReason::Stopped, Some(libc::SIGKILL)));
    assert_eq!(session.home.processes(), Vec::<u32>::new());
}

#[test]
fn a_gentle_stop_interrupts_first() {
    let mut session =
        Home::script("trap 'echo saved; exit 4' INT; while :; do sh -c 'echo ready; exec sleep 1000'; done").run();
    session.attach(sized(80, 24)).0.see("ready");
    session.stop(How::Gently);
    let record = session.exit();
    assert_eq!((record.reason, record.exit.code), (ExitReason::Stopped, Some(4)));
    assert!(session.home.recorded().ends_with(b"saved\r\n"));
}

#[test]
fn what_a_program_leaves_behind_is_ended_and_counted() {
    let mut session = Home::script(&format!("{STUBBORN} read line")).run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("stubborn");
    viewer.send(&ToKeeper::Input(b"\r".to_vec()));
    let record = session.exit();
    assert_eq!((record.reason, record.exit.code), (ExitReason::Ended, Some(0)));
    assert!(record.leftovers >= 2, "{record:?}");
    assert_eq!(session.home.processes(), Vec::<u32>::new());
}

#[test]
fn a_shutdown_is_told_as_one_whoever_dies_first() {
    let mut session = Home::script("echo ready; exec sleep 1000").run();
    session.attach(sized(80, 24)).0.see("ready");
    session.signal(libc::SIGTERM);
    let record = session.exit();
    assert_eq!(record.reason, ExitReason::Shutdown);
    assert!(session.ended().success());

    // Both at once, as the system does it, in either order: the program's end is held
    // until the keeper's own signal is seen.
    for round in 0..20 {
        let mut session = Home::script("echo ready; exec sleep 1000").run();
        session.attach(sized(80, 24)).0.see("ready");
        let pid = session.program();
        let program = PidFd::open(pid).unwrap();
        if round % 2 == 0 {
            program.signal(libc::SIGTERM).unwrap();
            if round % 4 == 0 {
                gone(pid);
            }
            session.signal(libc::SIGTERM);
        } else {
            session.signal(libc::SIGTERM);
            program.signal(libc::SIGTERM).unwrap();
        }
        assert_eq!(session.exit().reason, ExitReason::Shutdown, "{round}");
    }

    // Before anything was started there is nothing to tell.
    let mut session = Home::script("true").keep();
    session.signal(libc::SIGTERM);
    assert!(session.ended().success());
    assert!(!session.home.dir().exit().exists() && !session.home.dir().started().exists());
}

#[test]
fn who_does_not_hear_an_interrupt_is_terminated() {
    let mut session = Home::script("trap '' INT; echo ready; exec sleep 1000").run();
    session.attach(sized(80, 24)).0.see("ready");
    session.stop(How::Gently);
    let record = session.exit();
    assert_eq!((record.reason, record.exit.signal), (ExitReason::Stopped, Some(libc::SIGTERM)));
}

#[test]
fn a_killed_keeper_takes_its_program_along_and_frees_the_lock() {
    let mut session = Home::script("echo ready; exec sleep 1000").run();
    session.attach(sized(80, 24)).0.see("ready");
    let program = ProcessId::of(session.program()).unwrap();
    let handle = program.open().unwrap();
    session.signal(libc::SIGKILL);
    session.ended();
    assert!(socket::readable(&handle, LONG).unwrap());
    assert!(!FileLock::is_held(&session.home.dir().lock()).unwrap());
    assert!(session.home.dir().started().exists() && !session.home.dir().exit().exists());

    // Before Go: another may keep the session.
    let mut session = Home::script("echo second").keep();
    session.signal(libc::SIGKILL);
    session.ended();
    assert!(!session.home.dir().started().exists());
    let (keeper, mut control) = session.home.spawn();
    (session.keeper, session.hello) = (keeper, control.hello());
    session.control = control;
    session.go();
    session.exit();
    assert_eq!(session.home.recorded(), b"second\r\n");
}

#[test]
fn a_frozen_tree_stands_still() {
    let mut session = Home::script("sleep 1000 & echo ready; read line; echo got $line; kill %1").run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("ready");
    session.freeze(true);
    let states = |session: &Session| -> Vec<char> {
        session.home.processes().iter().map(|pid| autodev::process::stat(*pid).unwrap().state).collect()
    };
    assert_eq!(states(&session), ['T', 'T']);
    assert!(status(&mut viewer).frozen);
    viewer.send(&ToKeeper::Input(b"it\r".to_vec()));
    session.freeze(false);
    viewer.see("got it");
    assert_eq!(session.exit().reason, ExitReason::Ended);

    // A frozen tree can be stopped.
    let mut session = Home::script("echo ready; exec sleep 1000").run();
    session.attach(sized(80, 24)).0.see("ready");
    session.freeze(true);
    session.stop(How::Gently);
    assert_eq!(session.exit().exit.signal, Some(libc::SIGINT));
}
