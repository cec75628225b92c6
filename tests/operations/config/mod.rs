//! The configuration through its loader and its watcher.

mod authorities;
mod network;
mod reload;
mod sighup;
mod sources;
