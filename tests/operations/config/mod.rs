//! The configuration through its loader and its watcher.

mod network;
mod reload;
mod sighup;
mod sources;
