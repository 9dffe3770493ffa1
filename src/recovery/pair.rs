//! Which directory is which row's.

use std::collections::{BTreeMap, HashMap};

use super::gather::Found;
use crate::id::Uid;

/// Finds the directory of each row, given by its identity and the name that its directory
/// would have; and says which directories belong to none.
///
/// A directory belongs to a row by its identity: its name may have changed, or mean another
/// session after a restore. Only one that was never finished being written does not know
/// its identity.
pub fn pair(
    rows: &[(Uid, String)],
    mut found: BTreeMap<String, Found>,
) -> (Vec<Option<Found>>, BTreeMap<String, Found>) {
    let by_uid: HashMap<Uid, String> =
        found.iter().filter_map(|(name, found)| Some((found.spec.as_ref()?.uid, name.clone()))).collect();
    let paired = rows.iter().map(|(uid, name)| match by_uid.get(uid) {
        Some(name) => found.remove(name),
        None if found.get(name).is_some_and(|other| other.spec.is_none()) => found.remove(name),
        None => None,
    });
    let paired = paired.collect();
    (paired, found)
}
