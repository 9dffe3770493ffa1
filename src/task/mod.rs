//! A task's life, as pure functions: what it is, how it may change, how a try ends.

pub mod event;
pub mod machine;
pub mod outcome;
pub mod retry;
pub mod spec;
pub mod status;

pub use event::{Actor, Event};
pub use machine::{Effect, Refused, State, Step, step};
pub use outcome::{Exit, Outcome};
pub use retry::{OnInterrupt, Policy};
pub use spec::{Dependency, Mode, TaskSpec, When};
pub use status::{Status, Stop};
