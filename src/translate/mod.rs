//! The translation between the two APIs: values in, values out. Nothing here does I/O, reads a clock or logs; what operators
//! should know is returned.
//!
//! Each operation is one file, both directions together: [`create`], [`get`] (and cancel), [`list`]. They share the two wire
//! formats ([`conversion`], [`orchestration`]), the mapping between them ([`mapping`]), the problem documents ([`problem`]) and
//! the vendor's paths (`paths`), how ids are compared (`identifier`), and what is known beside the documents ([`facts`], [`own_records`]). [`route`] matches requests; [`token`] rewrites the scopes of token requests.

pub mod conversion;
pub mod create;
pub(crate) mod decimal;
pub(crate) mod drift;
pub mod evidence;
pub mod facts;
pub mod get;
mod hash;
pub(crate) mod identifier;
pub(crate) mod invalid;
pub mod json;
pub mod list;
pub mod mapping;
pub(crate) mod native;
pub(crate) mod orchestration;
pub mod own_records;
pub(crate) mod paths;
pub mod problem;
pub mod reference;
pub mod route;
pub mod side;
pub mod timestamp;
pub mod token;
pub(crate) mod unknown;
