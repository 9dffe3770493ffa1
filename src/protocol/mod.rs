//! What goes over the wires, as bytes: no sockets here.
//!
//! Two protocols. Client and daemon speak frames of bincode behind a hello of fixed
//! bytes ([`hello`], [`frame`], [`codec`], [`request`], [`reply`]); a control set in
//! fixed bytes ([`control`]) stays the same for ever, so that any client can ask any
//! daemon to stop or restart. Keepers speak [`keeper`], hand-encoded and append-only,
//! because old keepers meet new daemons. Files that keeper and daemon leave for one
//! another are JSON: [`launch`], [`exit`]; so is the line a starting daemon answers,
//! [`ready`].

pub mod codec;
pub mod control;
pub mod exit;
pub mod fault;
pub mod frame;
pub mod hello;
pub mod keeper;
pub mod launch;
pub mod ready;
pub mod reply;
pub mod request;
pub mod view;

pub use fault::{Fault, FaultCode};
pub use frame::{Frame, Kind};
pub use hello::Hello;
pub use reply::Reply;
pub use request::Request;
