//! Shadow comparisons over real sockets: the real config, client and server before the sandbox. Waiting is for the lines that
//! shadow writes; no test asserts a time.

mod comparing;
mod connections;
mod end_to_end;
mod held_credentials;
mod isolation;
mod log_file;
mod own_records;
mod shadowed;
mod writing;
