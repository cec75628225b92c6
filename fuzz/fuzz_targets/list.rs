#![no_main]

#[path = "../checks/list.rs"]
mod list;

libfuzzer_sys::fuzz_target!(|data: &[u8]| list::check(data));
