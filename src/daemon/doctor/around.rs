//! What lies around the instance: its socket, the service manager, agents, Redis.

use std::time::Duration;

use super::super::settings::Settings;
use super::{bad, few, fine, odd};
use crate::client::Client;
use crate::live::{self, Target};
use crate::lock::FileLock;
use crate::paths::{LockFile, Paths};
use crate::protocol::view::CheckView;
use crate::protocol::{Reply, Request};
use crate::recovery::{gather, plan};
use crate::systemd::{self, Manager};
use crate::unit::{self, Unit};

/// A daemon says hello within this, or is stuck.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// It says within this how it is: longer than it tries to store something.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// Whether the daemon that serves can be reached.
pub(super) fn daemon(paths: &Paths) -> CheckView {
    if !FileLock::is_held(&paths.daemon_lock()).unwrap_or(false) {
        return fine("daemon", "none runs; the next command that needs one starts it");
    }
    let file = std::fs::read(paths.daemon_lock()).ok().and_then(|text| serde_json::from_slice::<LockFile>(&text).ok());
    let Some(file) = file else { return fine("daemon", "one is just starting") };
    let served = format!("process {} serves at {}", file.process.pid, file.socket.display());
    // To be connected to says nothing: the system does that for one that is stuck.
    let answer = Client::connect_quickly(paths, HELLO_LIMIT)
        .map(|mut client| client.call_within(&Request::Health, Some(ANSWER_LIMIT)));
    match answer {
        Some(Ok(Reply::Health(troubles))) if !troubles.is_empty() => bad(
            "daemon",
            few(&troubles),
            "autodev status; settings that have been mended are read by 'autodev daemon reload'",
        ),
        Some(Ok(_)) => fine("daemon", served),
        Some(Err(fault)) => odd(
            "daemon",
            format!("{served}, and {}", fault.message),
            "autodev daemon restart; it leaves sessions alone",
        ),
        None => odd(
            "daemon",
            format!("{served}, but that cannot be reached"),
            "autodev status; it has the socket bound anew, and 'autodev daemon logs' may say more",
        ),
    }
}

/// What becomes of everything at the last logout, and whether sessions have control groups
/// of their own.
pub(super) fn service(paths: &Paths, settings: &Settings) -> CheckView {
    let keepers: Vec<_> = gather(paths)
        .unwrap_or_default()
        .into_values()
        .filter(|session| matches!(session.facts, plan::Dir::Present { held: true, .. }))
        .filter_map(|session| session.keeper)
        .collect();
    let installed = Unit::of(paths).filter(|unit| unit.service_file().exists());
    let enabled = installed.as_ref().is_some_and(Unit::is_enabled);
    let alone = keepers.iter().filter(|keeper| {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", keeper.process.pid)).unwrap_or_default();
        groups.lines().any(|line| line.rsplit('/').next().is_some_and(|scope| scope.starts_with("autodev-")))
    });
    let (alone, all) = (alone.count(), keepers.len());
    let limited = settings.scope().is_some_and(|limits| limits != systemd::Limits::default());
    if limited && alone < all {
        let found = format!("{} of {all} sessions have no control group of their own, so no limits", all - alone);
        return odd("service", found, "'autodev daemon logs' says why; sessions that are started later may have one");
    }
    let groups = match (Manager::is_there(), all) {
        (_, 0) => String::new(),
        (true, all) => format!("; {alone} of {all} sessions have a control group of their own"),
        (false, _) => {
            "; no service manager is reached from here, so sessions have no control groups of their own".into()
        }
    };
    match (installed, unit::lingers()) {
        (Some(unit), Some(false)) => odd(
            "service",
            format!("{} ends at your last logout, and all sessions with it{groups}", unit.service()),
            "loginctl enable-linger",
        ),
        (Some(unit), _) if !enabled => odd(
            "service",
            format!("{} is installed and not enabled{groups}", unit.service()),
            "autodev service install",
        ),
        (Some(unit), _) => fine("service", format!("{} is installed{groups}", unit.service())),
        (None, _) => fine("service", format!("it is not installed, and need not be{groups}")),
    }
}

/// Which agents can be run.
pub(super) fn agents(settings: &Settings) -> CheckView {
    let path = std::env::var("PATH").ok().map(|path| ("PATH".to_owned(), path));
    let registry = settings.registry();
    let agents = registry.installed(&path.into_iter().collect());
    let named = |installed: bool| -> Vec<String> {
        agents.iter().filter(|(_, there)| *there == installed).map(|(name, _)| (*name).to_owned()).collect()
    };
    let (there, missing) = (named(true), named(false));
    match there.as_slice() {
        // Nothing is wrong with running commands only.
        [] => fine("agents", format!("none of {} is on the PATH: 'autodev providers' has more", missing.join(", "))),
        there => fine("agents", format!("{} can be run", there.join(", "))),
    }
}

/// Whether the copy in Redis can be made.
pub(super) fn redis(settings: &Settings) -> CheckView {
    let target = match Target::of(&settings.redis()) {
        Ok(None) => return fine("redis", "no copy is wanted"),
        Ok(Some(target)) => target,
        Err(why) => return bad("redis", why, "autodev config edit"),
    };
    match live::examine(&target) {
        Ok(warnings) if warnings.is_empty() => fine("redis", format!("{} answers", target.address)),
        Ok(warnings) => odd("redis", few(&warnings), "in the configuration of the server; 'man autodev-redis' has one"),
        Err(why) => odd(
            "redis",
            format!("{} cannot be used: {why}", target.address),
            "nothing waits for it; see that the server runs, or 'autodev config unset redis.url'",
        ),
    }
}
