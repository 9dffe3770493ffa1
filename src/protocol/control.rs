//! The control set: what any client can ask of any daemon, whatever their versions.
//! Fixed bytes, never changed, only added to.
//!
//! A control frame's payload is one byte of operation and its fields. Numbers are little
//! endian; a text is a u16 length and UTF-8.

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Are you there, and who are you?
    Ping,
    /// Leave; with `kill_sessions` end every session first.
    Stop {
        /// End sessions too.
        kill_sessions: bool,
    },
    /// Leave, and have the binary at your own path started in your place.
    Restart,
    /// Where is the keeper of this session?
    Resolve {
        /// Session name.
        name: String,
    },
}

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Here I am.
    Pong {
        /// Process id.
        pid: u32,
        /// When it became ready, milliseconds since 1970.
        since: i64,
        /// Its version.
        build: String,
    },
    /// It will be done. The connection closes when it is.
    Agreed,
    /// The socket of the keeper asked for.
    Socket {
        /// Absolute path.
        path: String,
    },
    /// It cannot be done: why, for a person.
    Refused {
        /// The reason.
        reason: String,
    },
}

impl Ask {
    /// As a control frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Ask::Ping => vec![1],
            Ask::Stop { kill_sessions } => vec![2, u8::from(*kill_sessions)],
            Ask::Restart => vec![3],
            Ask::Resolve { name } => text(vec![4], name),
        }
    }

    /// Reads a payload; `None` for anything not known.
    pub fn decode(bytes: &[u8]) -> Option<Ask> {
        match bytes {
            [1] => Some(Ask::Ping),
            [2, kill] => Some(Ask::Stop { kill_sessions: *kill != 0 }),
            [3] => Some(Ask::Restart),
            [4, rest @ ..] => whole_text(rest).map(|name| Ask::Resolve { name }),
            _ => None,
        }
    }
}

impl Tell {
    /// As a control frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Tell::Pong { pid, since, build } => {
                let mut bytes = vec![65];
                bytes.extend_from_slice(&pid.to_le_bytes());
                bytes.extend_from_slice(&since.to_le_bytes());
                text(bytes, build)
            }
            Tell::Agreed => vec![66],
            Tell::Socket { path } => text(vec![67], path),
            Tell::Refused { reason } => text(vec![68], reason),
        }
    }

    /// Reads a payload; `None` for anything not known.
    pub fn decode(bytes: &[u8]) -> Option<Tell> {
        match bytes {
            [65, rest @ ..] => {
                let pid = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
                let since = i64::from_le_bytes(rest.get(4..12)?.try_into().ok()?);
                Some(Tell::Pong { pid, since, build: whole_text(rest.get(12..)?)? })
            }
            [66] => Some(Tell::Agreed),
            [67, rest @ ..] => whole_text(rest).map(|path| Tell::Socket { path }),
            [68, rest @ ..] => whole_text(rest).map(|reason| Tell::Refused { reason }),
            _ => None,
        }
    }
}

fn text(mut bytes: Vec<u8>, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
    bytes
}

fn whole_text(bytes: &[u8]) -> Option<String> {
    let length = usize::from(u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?));
    let rest = bytes.get(2..)?;
    (rest.len() == length).then(|| String::from_utf8_lossy(rest).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_never_change() {
        let asks: [(Ask, &[u8]); 5] = [
            (Ask::Ping, &[1]),
            (Ask::Stop { kill_sessions: false }, &[2, 0]),
            (Ask::Stop { kill_sessions: true }, &[2, 1]),
            (Ask::Restart, &[3]),
            (Ask::Resolve { name: "42.1".into() }, b"\x04\x04\x0042.1"),
        ];
        for (ask, bytes) in asks {
            assert_eq!(ask.encode(), bytes);
            assert_eq!(Ask::decode(bytes), Some(ask));
        }
        let tells: [(Tell, &[u8]); 4] = [
            (Tell::Pong { pid: 7, since: 1, build: "0.1".into() }, b"\x41\x07\0\0\0\x01\0\0\0\0\0\0\0\x03\x000.1"),
            (Tell::Agreed, &[66]),
            (Tell::Socket { path: "/s".into() }, b"\x43\x02\0/s"),
            (Tell::Refused { reason: "no".into() }, b"\x44\x02\0no"),
        ];
        for (tell, bytes) in tells {
            assert_eq!(tell.encode(), bytes);
            assert_eq!(Tell::decode(bytes), Some(tell));
            for end in 0..bytes.len() {
                assert_eq!(Tell::decode(&bytes[..end]), None);
            }
        }
        assert_eq!(Ask::decode(&[]), None);
        assert_eq!(Ask::decode(&[99]), None);
        assert_eq!(Ask::decode(b"\x04\xff\xffx"), None);
    }
}
