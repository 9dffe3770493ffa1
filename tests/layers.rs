//! Holds the import directions: who may know whom.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up; a module may use those of lower layers, and itself.
const LAYERS: [&[&str]; 6] = [
    &[
        "clock",
        "config",
        "crash",
        "door",
        "durable",
        "id",
        "lock",
        "logging",
        "paths",
        "place",
        "process",
        "reference",
        "secret",
        "socket",
        "unit",
    ],
    &["task", "queue"],
    &["protocol"],
    &["client", "live", "provider", "recording", "recovery", "screen", "session", "store", "systemd"],
    &["attach"],
    &["cli", "daemon", "keeper"],
];

/// Within a layer: who may use whom all the same.
const ALLOWED: [(&str, &str); 18] = [
    ("door", "process"),
    ("door", "socket"),
    ("socket", "durable"),
    ("config", "durable"),
    ("paths", "id"),
    ("paths", "process"),
    ("place", "paths"),
    ("unit", "paths"),
    ("config", "clock"),
    ("config", "reference"),
    ("reference", "process"),
    ("reference", "socket"),
    ("reference", "unit"),
    ("logging", "clock"),
    ("config", "paths"),
    ("queue", "task"),
    ("live", "store"),
    ("recovery", "session"),
];

/// Each of these crates has one home.
const HOMES: [(&str, &[&str]); 13] = [
    ("bincode", &["src/protocol/codec.rs"]),
    ("rusqlite", &["src/store"]),
    ("portable_pty", &["src/keeper"]),
    ("alacritty_terminal", &["src/screen"]),
    ("daemonize", &["bin/autodevd.rs"]),
    ("zstd", &["src/recording"]),
    ("redis", &["src/live"]),
    ("zbus", &["src/systemd"]),
    ("prometheus_client", &["src/daemon/metrics.rs", "src/daemon/totals.rs"]),
    ("hyper", &["src/daemon/exporter.rs"]),
    ("sd_notify", &["src/systemd"]),
    ("rustls", &["src/live"]),
    ("regex", &["src/cli/logs"]),
];

/// What pure code never names.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::time::SystemTime",
    "Instant",
    "Timestamp::now",
    "tokio",
    "async fn",
    ".local()",
];

fn sources(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    // Tests may use what they like; comments may name what they like.
    let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn all() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found);
    sources(&root.join("bin"), &mut found);
    found
        .into_iter()
        .filter(|p| !p.file_stem().is_some_and(|s| s.to_string_lossy().ends_with("tests")))
        .map(|path| {
            let relative = path.strip_prefix(root).unwrap().to_owned();
            let module = relative.iter().nth(1).unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
            let text = code(&path);
            (module, relative, text)
        })
        .collect()
}

#[test]
fn arrows_point_down_only() {
    let mut level = BTreeMap::new();
    for (index, layer) in LAYERS.iter().enumerate() {
        for module in *layer {
            level.insert(*module, index);
        }
    }
    let mut wrong = Vec::new();
    for (module, path, text) in all() {
        if path.starts_with("bin") || module == "lib" {
            continue;
        }
        let Some(own) = level.get(module.as_str()) else { panic!("{} is in no layer", path.display()) };
        for (used, its) in &level {
            let names = text.contains(&format!("crate::{used}::")) || text.contains(&format!("crate::{used};"));
            let fine = *used == module || its < own || ALLOWED.contains(&(module.as_str(), used));
            if names && !fine {
                wrong.push(format!("{} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_have_one_home() {
    for (name, homes) in HOMES {
        let users: Vec<_> = all()
            .into_iter()
            .filter(|(_, path, text)| {
                // A module of ours may have the name of a crate.
                let named = text.replace(&format!("super::{name}::"), "");
                named.contains(&format!("{name}::")) && !homes.iter().any(|home| path.starts_with(home))
            })
            .map(|(_, path, _)| path)
            .collect();
        assert!(users.is_empty(), "{name} is used in {users:?}");
    }
}

#[test]
fn the_domain_is_pure() {
    for (module, path, text) in all() {
        let pure = matches!(module.as_str(), "task" | "queue") || path.ends_with("recovery/plan.rs");
        for word in IMPURE {
            assert!(!(pure && text.contains(word)), "{} names {word}", path.display());
        }
    }
}
