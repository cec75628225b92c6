#![no_main]

#[path = "../checks/create_body.rs"]
mod create_body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| create_body::check(data));
