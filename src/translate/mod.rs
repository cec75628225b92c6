//! The translation between the two APIs: values in, values out. Nothing here does I/O, reads a clock or logs; what the
//! operator should hear of is returned.
//!
//! One operation a file, both directions together: [`create`], [`get`] (and cancel), [`list`]. They share the two wires
//! ([`conversion`] and [`orchestration`]), the record mapping between them ([`record`]) and the errors ([`problem`]). Beside them
//! stand the scopes of token requests ([`token`]).

pub mod conversion;
pub mod create;
pub mod decimal;
pub mod evidence;
pub mod get;
pub mod invalid;
pub mod json;
pub mod list;
pub mod mapping;
pub mod native;
pub mod orchestration;
pub(crate) mod paths;
pub mod problem;
pub mod reference;
pub mod route;
pub mod side;
pub mod timestamp;
pub mod token;
