//! How it stands with the copy in Redis.

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};

/// How it stands with the copy in Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisState {
    /// There is to be none.
    #[default]
    Off,
    /// The server cannot be reached, or does not do what it is told; it is tried again.
    Down,
    /// It is being built.
    Rebuilding,
    /// It follows.
    Following,
}

impl RedisState {
    /// The word that JSON has.
    pub fn name(self) -> &'static str {
        match self {
            RedisState::Off => "off",
            RedisState::Down => "down",
            RedisState::Rebuilding => "rebuilding",
            RedisState::Following => "following",
        }
    }
}

/// The copy in Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisView {
    /// How it stands with it.
    pub state: RedisState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The server's address.
    pub url: Option<String>,
    /// The server's version.
    pub server: Option<String>,
    /// What the names of this instance's keys begin with.
    pub keys: Option<String>,
    /// The last entry of the history that is in it.
    pub seq: Option<i64>,
    /// Entries that are not in it yet.
    pub behind: u64,
    /// How long the first of them is there.
    pub behind_for: Option<Span>,
    /// Why it is down.
    pub error: Option<String>,
    /// How often it was built anew since the daemon was started.
    pub rebuilds: u64,
    /// Why, the last time.
    pub rebuilt_because: Option<String>,
    /// It was built anew again and again: somebody else writes the same keys.
    pub quarrel: bool,
    /// What is wrong with the server.
    pub warnings: Vec<String>,
}

/// What a comparison of the copy in Redis with the database has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisReport {
    /// Tasks compared.
    pub tasks: u64,
    /// Entries of the stream compared.
    pub events: u64,
    /// Up to this entry of the history.
    pub seq: i64,
    /// How many differences there are.
    pub differences: u64,
    /// The first [`RedisReport::MOST`] of them.
    pub first: Vec<RedisDifference>,
}

impl RedisReport {
    /// Differences that are named.
    pub const MOST: usize = 100;
}

/// Something in the copy that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisDifference {
    /// The key.
    pub key: String,
    /// Which field or member, where it is not the whole.
    pub field: Option<String>,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
}
