//! HTTP bodies and header rules that every layer shares.

pub mod body;
pub mod capture;
pub mod detach;
pub mod headers;
