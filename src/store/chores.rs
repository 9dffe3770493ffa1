//! Work that one request's transaction would be too long for. What is left of it can be
//! read from the rows, so a crash loses none.

use super::failure::Failure;
use super::tx::Tx;
use super::{batch, dependents};

/// One piece of it: `true` when more is left.
pub(super) fn run(tx: &mut Tx<'_>) -> Result<bool, Failure> {
    Ok(dependents::chore(tx)? || batch::chore(tx)?)
}
