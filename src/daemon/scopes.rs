//! Moves keepers into control groups of their own, where the user has a service manager.

use crate::id::{SessionName, Uid};
use crate::paths::Paths;
use crate::systemd::{Limits, Manager, MoveError};
use crate::unit;

/// The connection to the service manager, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Scopes(tokio::sync::Mutex<Option<Manager>>);

impl Scopes {
    /// Moves a keeper that has started nothing yet. It is all the same to the session
    /// whether that succeeds.
    pub async fn place(&self, paths: &Paths, session: &SessionName, uid: Uid, keeper: u32, limits: Limits) {
        if !outlives_us() {
            return;
        }
        if let Err(error) = self.try_place(paths, session, uid, keeper, limits).await {
            // The next one is tried over a new connection.
            *self.0.lock().await = None;
            tracing::warn!(%session, %error, "the session has no control group of its own");
        }
    }

    async fn try_place(
        &self,
        paths: &Paths,
        session: &SessionName,
        uid: Uid,
        keeper: u32,
        limits: Limits,
    ) -> Result<(), MoveError> {
        let manager = {
            let mut known = self.0.lock().await;
            match known.as_ref() {
                Some(manager) => manager.clone(),
                None => known.insert(Manager::connect().await?).clone(),
            }
        };
        let name = name(paths, session, uid);
        manager.move_into_scope(&name, &format!("autodev session {session}"), keeper, limits).await
    }
}

/// Whether a scope of the service manager's lives as long as the session would without it.
/// The manager ends at the user's last logout, unless it lingers, and its scopes with it; a
/// daemon that was started from a login's own terminal outlives that. (systemd.exec(5),
/// MANAGERPID: who is below the manager ends with it anyway.)
fn outlives_us() -> bool {
    Manager::is_there() && (std::env::var_os("MANAGERPID").is_some() || unit::lingers() == Some(true))
}

/// The scope's name: that of the session, and what tells instances and sessions of the same
/// name apart.
fn name(paths: &Paths, session: &SessionName, uid: Uid) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let session: String = session.to_string().chars().map(plain).collect();
    let uid: String = uid.to_string().chars().filter(char::is_ascii_hexdigit).collect();
    let uid = &uid[uid.len().saturating_sub(8)..];
    format!("autodev-{session}-{:08x}-{uid}.scope", paths.instance_number() & 0xffff_ffff)
}
