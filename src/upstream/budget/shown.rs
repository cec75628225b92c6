//! The budget as operators see it: in `/status`, and in the command that reads it.

use serde::{Deserialize, Serialize};

/// What is spent, and what holds it back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// How long the cool-down after a 429 lasts still; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_seconds_left: Option<u64>,
    /// What the vendor counts apart.
    pub endpoints: Vec<ShownEndpoint>,
}

/// One endpoint, as this process knows it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownEndpoint {
    /// `legacy create`, `new list`, `token`.
    pub endpoint: String,
    /// How many calls a second this process may make now, once what it saved is spent.
    pub per_second: f64,
    /// Calls made since the start.
    pub calls: u64,
    /// Calls that wait for their turn.
    pub waiting: u64,
    /// Calls that were refused a turn since the start, comparisons not counted.
    pub refused: u64,
    /// When it last answered 429; absent: never since the start. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_429: Option<String>,
}
