#![no_main]

#[path = "../checks/daily_report.rs"]
mod daily_report;

libfuzzer_sys::fuzz_target!(|data: &[u8]| daily_report::check(data));
