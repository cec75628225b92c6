//! Credentials at the door: who may come in ([`callers`]), and clients' own requests for tokens ([`token_route`]).
//!
//! What a form says and which scopes become which is `translate::token`'s; tokens of the proxy's own are `upstream`'s.

pub mod callers;
pub mod claims;
pub mod token_route;
