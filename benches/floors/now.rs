// Says when it ran: nanoseconds since 1970, appended to a file.
use std::io::Write;

fn main() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_nanos();
    let path = std::env::args().nth(1).expect("a file");
    let mut file = std::fs::OpenOptions::new().write(true).open(path).expect("opened");
    writeln!(file, "{now}").expect("written");
}
