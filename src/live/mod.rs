//! The real-time copy of all tasks in Redis, for who looks on from outside: dashboards and
//! scripts. It follows the history, is rebuilt when it does not fit it any more, and never
//! decides anything: Redis may be slow, down, flushed, or of yesterday.
//!
//! What the copy has, and up to which entry of the history, is written by one script at a
//! time, so that the copy itself says where to go on. Nothing about it is in the database.

mod compare;
mod copy;
mod fields;
mod link;
mod rebuild;
mod relay;
mod scripts;
mod target;

pub use link::examine;
pub use relay::Relay;
pub use target::Target;

/// Raised when what is in the copy changes its form: then it is built anew.
const FORMAT: u32 = 2;
/// Tasks or entries of the history in one script. Redis does nothing else meanwhile, so a
/// few milliseconds' worth.
const CHUNK: u32 = 500;
/// Entries of the history kept in the stream; about so many, for exactly is slower.
const STREAM: i64 = 100_000;
