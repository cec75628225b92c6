//! The configuration through its loader and its watcher.

mod authorities;
mod network;
mod reload;
mod rotated;
mod sighup;
mod sources;
