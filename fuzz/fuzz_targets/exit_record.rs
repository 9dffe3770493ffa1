#![no_main]

#[path = "../checks/exit_record.rs"]
mod checked;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checked::check(data));
