// A program that prints: a prepared file, in large pieces, once or for some seconds.
//
// Says its process id when it is ready, waits for a pipe to be opened, prints, and says when
// it began, when the terminal had taken all, and how many bytes those were. Then it stays
// until it is killed.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

unsafe extern "C" {
    fn tcdrain(fd: i32) -> i32;
    fn alarm(seconds: u32) -> u32;
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos()
}

fn main() {
    // Whatever becomes of the bench.
    unsafe { alarm(300) };
    let [_, file, said, go, seconds] = std::env::args().collect::<Vec<_>>().try_into().expect("four arguments");
    let bytes = std::fs::read(file).expect("a file");
    let limit = Duration::from_secs(seconds.parse().expect("seconds"));
    let mut said = OpenOptions::new().write(true).open(said).expect("opened");
    said.write_all(format!("ready {}\n", std::process::id()).as_bytes()).expect("said");
    drop(File::open(go).expect("opened"));
    let mut out = File::from(std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned().expect("a terminal"));
    let (begin, since, mut written) = (now(), Instant::now(), 0);
    'all: loop {
        for part in bytes.chunks(64 * 1024) {
            out.write_all(part).expect("written");
            written += part.len();
            if !limit.is_zero() && since.elapsed() >= limit {
                break 'all;
            }
        }
        if limit.is_zero() {
            break;
        }
    }
    unsafe { tcdrain(1) };
    said.write_all(format!("{begin} {} {written}\n", now()).as_bytes()).expect("said");
    loop {
        std::thread::park();
    }
}
