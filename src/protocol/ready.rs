//! The one line a daemon writes to the descriptor of `--ready-fd` once it serves, or
//! instead of serving: JSON. It then closes the descriptor. Nothing but an end of file
//! means that it died.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fault::FaultCode;

/// How a start went.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ready {
    /// The daemon serves.
    pub ready: bool,
    /// Its socket, when it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Why it does not serve, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The error's kind; [`FaultCode::Conflict`] says that another daemon holds the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<FaultCode>,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_are_short_lines() {
        let ready = Ready { ready: true, socket: Some("/run/s".into()), ..Ready::default() };
        assert_eq!(serde_json::to_string(&ready).unwrap(), r#"{"ready":true,"socket":"/run/s"}"#);
        let held = r#"{"error":"another daemon runs","code":"conflict"}"#;
        let held: Ready = serde_json::from_str(held).unwrap();
        assert_eq!((held.ready, held.code), (false, Some(FaultCode::Conflict)));
    }
}
