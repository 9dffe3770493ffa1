//! The first bytes both sides send. Their form never changes.
//!
//! `"ADV\0"`, major (u16 LE), minor (u16 LE), role (u8), length of the build text (u8),
//! the build text (UTF-8). A client sends its hello and its first frame together; the
//! daemon answers with its own hello first.

use std::io::{self, Read};

/// Raised when a message changes its meaning or its bytes. Clients and daemons of
/// different majors understand only hello and the control set of each other.
pub const MAJOR: u16 = 3;
/// Raised when messages are added. A side uses only what both minors have.
pub const MINOR: u16 = 0;

const MAGIC: [u8; 4] = *b"ADV\0";
const FIXED: usize = 10;

/// Who says hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The command line, or another program of the user.
    Client = 1,
    /// The daemon.
    Daemon = 2,
}

/// What a hello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Protocol major.
    pub major: u16,
    /// Protocol minor.
    pub minor: u16,
    /// Who speaks.
    pub role: Role,
    /// The program's version, for people; at most 255 bytes.
    pub build: String,
}

/// The program's version as hellos name it.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

impl Hello {
    /// This program's own hello.
    pub fn mine(role: Role) -> Self {
        Hello { major: MAJOR, minor: MINOR, role, build: BUILD.to_owned() }
    }

    /// The hello as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let build = &self.build.as_bytes()[..self.build.len().min(255)];
        let mut bytes = Vec::with_capacity(FIXED + build.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.major.to_le_bytes());
        bytes.extend_from_slice(&self.minor.to_le_bytes());
        bytes.push(self.role as u8);
        bytes.push(u8::try_from(build.len()).unwrap_or(255));
        bytes.extend_from_slice(build);
        bytes
    }

    /// Bytes of the fixed part; the last of them says how many of build text follow.
    pub const FIXED: usize = FIXED;

    /// Reads the fixed part: the hello without its build text, and that text's length.
    ///
    /// # Errors
    /// A message for a person when these are not the bytes of a hello.
    pub fn decode_fixed(bytes: [u8; FIXED]) -> Result<(Hello, usize), String> {
        if bytes[..4] != MAGIC {
            return Err("the other side does not speak autodev's protocol".into());
        }
        let role = match bytes[8] {
            1 => Role::Client,
            2 => Role::Daemon,
            other => return Err(format!("a hello with unknown role {other}")),
        };
        let hello = Hello {
            major: u16::from_le_bytes([bytes[4], bytes[5]]),
            minor: u16::from_le_bytes([bytes[6], bytes[7]]),
            role,
            build: String::new(),
        };
        Ok((hello, usize::from(bytes[9])))
    }

    /// Reads a hello, waiting for it.
    ///
    /// # Errors
    /// The stream's own; `InvalidData` for bytes that are not a hello.
    pub fn read(stream: &mut impl Read) -> io::Result<Hello> {
        let mut fixed = [0; FIXED];
        stream.read_exact(&mut fixed)?;
        let (mut hello, length) =
            Hello::decode_fixed(fixed).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        let mut build = vec![0; length];
        stream.read_exact(&mut build)?;
        hello.build = String::from_utf8_lossy(&build).into_owned();
        Ok(hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_never_change() {
        let hello = Hello { major: 1, minor: 2, role: Role::Client, build: "0.1.0".into() };
        let bytes = hello.encode();
        assert_eq!(bytes, b"ADV\0\x01\0\x02\0\x01\x050.1.0");
        assert_eq!(Hello::read(&mut bytes.as_slice()).unwrap(), hello);
        for end in 0..bytes.len() {
            assert!(Hello::read(&mut &bytes[..end]).is_err());
        }
        assert!(Hello::read(&mut b"GET / HTTP/1.1\r\n\r\n".as_slice()).is_err());
    }
}
