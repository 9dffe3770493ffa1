//! Starts a step's program in the terminal, and says plainly why one cannot be started.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, rlim_t};
use nix::unistd::{AccessFlags, access};

use super::birth::Inherited;
use crate::paths::SessionDir;
use crate::process::is_no_room;
use crate::protocol::launch::{LaunchStep, Stdin};

/// Where programs are looked for when the step's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// As much of a file as the kernel looks at to find its interpreter.
const SHEBANG: u64 = 256;

/// A program that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its process id; it is its session's and group's too.
    pub pid: u32,
    /// Its start time, clock ticks since boot.
    pub start: u64,
}

/// Why a program was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// For a person.
    pub why: String,
    /// The machine lacked something: another time it will do.
    pub no_room: bool,
}

/// Starts a step's program: leader of its own session with `tty` as controlling terminal,
/// killed when this process dies, marked as part of the session. Must be called from the
/// main thread, whose end counts as this process's.
///
/// # Errors
/// Why not.
pub fn start(
    step: &LaunchStep,
    dir: &SessionDir,
    tty: &File,
    marker: u64,
    inherited: Inherited,
) -> Result<Started, NotStarted> {
    let name = step.argv.first().map(String::as_str).unwrap_or_default();
    let fail = |why: &str| NotStarted { why: format!("cannot start '{name}': {why}"), no_room: false };
    if name.is_empty() {
        let why = format!("cannot start step '{}': it names no program", step.name);
        return Err(NotStarted { why, no_room: false });
    }
    match fs::metadata(&step.directory) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(fail(&format!("{} is not a directory", step.directory.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(fail(&format!("its directory {} does not exist", step.directory.display())));
        }
        Err(error) => return Err(fail(&format!("its directory {}: {}", step.directory.display(), plain(&error)))),
    }
    let program = look_up(name, step).map_err(|why| fail(&why))?;
    let image = Image::new(&program, &step.argv, &step.environment).map_err(|why| fail(&why))?;
    let marker = marker.min(hard_limit(Resource::RLIMIT_MSGQUEUE));
    let keeper = std::process::id();

    let copy =
        || tty.try_clone().map(Stdio::from).map_err(|e| NotStarted { no_room: is_no_room(&e), ..fail(&plain(&e)) });
    let stdin = match &step.stdin {
        Stdin::Terminal => copy()?,
        Stdin::Null => Stdio::null(),
        Stdin::File(file) => open_stdin(dir, file).map_err(|why| fail(&why))?.into(),
    };
    let mut command = Command::new(&program);
    command.current_dir(&step.directory).stdin(stdin).stdout(copy()?).stderr(copy()?);
    // SAFETY: between fork and exec only system calls are made, on memory prepared before.
    unsafe {
        command.pre_exec(move || {
            become_child(keeper, marker, inherited)?;
            // Not left to the standard library: its exec hands files without a known form
            // to a shell, which would hide why the program cannot run.
            Err(image.exec())
        });
    }
    match command.spawn() {
        Ok(child) => {
            let pid = child.id();
            // Not reaped yet, so /proc has it even if it has ended.
            let start = crate::process::stat(pid).map_or(0, |stat| stat.start);
            Ok(Started { pid, start })
        }
        Err(error) => Err(NotStarted { no_room: is_no_room(&error), ..fail(&explain(&error, &program, step)) }),
    }
}

/// Runs in the child. Async-signal-safe throughout.
fn become_child(keeper: u32, marker: u64, inherited: Inherited) -> io::Result<()> {
    let check = |result: i32| if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: system calls with integers, or with pointers to values on this stack.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        // The keeper may have died before that took hold.
        if u32::try_from(libc::getppid()) != Ok(keeper) {
            return Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
        check(libc::setsid())?;
        check(libc::ioctl(libc::STDOUT_FILENO, libc::TIOCSCTTY, 0))?;
        let marked = libc::rlimit { rlim_cur: marker, rlim_max: marker };
        check(libc::setrlimit(libc::RLIMIT_MSGQUEUE, &raw const marked))?;
        let core = libc::rlimit { rlim_cur: inherited.core.0, rlim_max: inherited.core.1 };
        check(libc::setrlimit(libc::RLIMIT_CORE, &raw const core))?;
        libc::umask(inherited.umask);
        for signal in 1..=libc::SIGRTMAX() {
            // Fails for those that cannot be caught, which have nothing to reset.
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()))
    }
}

/// What exec gets, prepared before the fork.
struct Image {
    program: CString,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    /// What the pointers point to.
    _strings: Vec<CString>,
}

// SAFETY: the pointers point into `_strings`, which is never changed and moves with them
// without moving its strings' bytes.
unsafe impl Send for Image {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Image {}

impl Image {
    fn new(program: &Path, argv: &[String], environment: &BTreeMap<String, String>) -> Result<Image, String> {
        let zero = |what: &str| format!("{what} contains a zero byte");
        let mut strings = Vec::with_capacity(argv.len() + environment.len());
        for argument in argv {
            strings.push(CString::new(argument.as_str()).map_err(|_| zero("an argument"))?);
        }
        for (name, value) in environment {
            if name.is_empty() || name.contains('=') {
                return Err(format!("'{name}' cannot be the name of an environment variable"));
            }
            let bytes = format!("{name}={value}");
            strings.push(CString::new(bytes).map_err(|_| zero(&format!("the environment variable {name}")))?);
        }
        let end = std::iter::once(std::ptr::null());
        Ok(Image {
            program: CString::new(program.as_os_str().as_bytes()).map_err(|_| zero("its name"))?,
            argv: strings[..argv.len()].iter().map(|s| s.as_ptr()).chain(end.clone()).collect(),
            envp: strings[argv.len()..].iter().map(|s| s.as_ptr()).chain(end).collect(),
            _strings: strings,
        })
    }

    /// Becomes the program; comes back only with the reason why not.
    fn exec(&self) -> io::Error {
        // SAFETY: both arrays end with null and point to strings that live as long as self.
        unsafe { libc::execve(self.program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// The program's file: as given if it names a directory, else from the `PATH` of the
/// step's environment.
fn look_up(name: &str, step: &LaunchStep) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(step.directory.join(name));
    }
    let path = step.environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let mut forbidden = None;
    for directory in path.split(':') {
        let file = step.directory.join(directory).join(name);
        match fs::metadata(&file) {
            Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => return Ok(file),
            Ok(found) if found.is_file() => forbidden = forbidden.or(Some(file)),
            _ => {}
        }
    }
    Err(match forbidden {
        Some(file) => format!("{} is not executable", file.display()),
        None => format!("no such program on the PATH ({path})"),
    })
}

fn open_stdin(dir: &SessionDir, name: &str) -> Result<File, String> {
    let plain_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    if !plain_name {
        return Err(format!("'{name}' is not the name of a file in the session's directory"));
    }
    let path = dir.path().join(name);
    File::open(&path).map_err(|e| format!("its standard input {}: {}", path.display(), plain(&e)))
}

/// Why the kernel would not run it.
fn explain(error: &io::Error, program: &Path, step: &LaunchStep) -> String {
    let shown = program.display();
    match error.raw_os_error() {
        Some(libc::ENOENT) if !program.exists() => format!("{shown} does not exist"),
        Some(libc::ENOENT) => match interpreter(program) {
            Some(interpreter) => {
                format!("{shown} needs the interpreter {}, which does not exist", interpreter.display())
            }
            None => format!("{shown} needs a loader that does not exist (built for another system?)"),
        },
        Some(libc::EACCES) if access(&step.directory, AccessFlags::X_OK).is_err() => {
            format!("its directory {} may not be entered", step.directory.display())
        }
        Some(libc::EACCES) => match (fs::metadata(program), interpreter(program)) {
            (Ok(found), _) if found.is_dir() => format!("{shown} is a directory"),
            (Ok(found), _) if found.permissions().mode() & 0o111 == 0 => format!("{shown} is not executable"),
            (Ok(_), Some(interpreter)) => {
                format!("{shown} or its interpreter {} may not be executed", interpreter.display())
            }
            _ => format!("{shown} may not be executed (permission denied)"),
        },
        Some(libc::ENOEXEC) => {
            format!("{shown} is neither a program for this machine nor a script that names its interpreter (#!)")
        }
        Some(libc::E2BIG) => {
            let bytes: usize = step.argv.iter().map(String::len).sum::<usize>()
                + step.environment.iter().map(|(name, value)| name.len() + value.len() + 1).sum::<usize>();
            format!("arguments and environment are too long ({bytes} bytes; one argument may have 131071)")
        }
        _ => format!("{shown}: {}", plain(error)),
    }
}

/// The interpreter a script names in its first line.
fn interpreter(program: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(SHEBANG).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let word = line.split(|b| matches!(b, b' ' | b'\t')).find(|word| !word.is_empty())?;
    Some(PathBuf::from(OsString::from_vec(word.to_vec())))
}

/// An error as a person says it, without the number.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}

fn hard_limit(resource: Resource) -> rlim_t {
    getrlimit(resource).map_or(rlim_t::MAX, |(_, hard)| hard)
}
