//! Requests and replies as bytes. The only place that names bincode.
//!
//! bincode is not self-describing: messages have no recursive types and no optional or
//! flattened serde fields, enums grow at their end only, and what does not use up all
//! bytes is refused.

use bincode::config;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{Frame, Kind, MAX_FRAME};

/// A message that cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMessage(String);

fn settings() -> config::Configuration<config::LittleEndian, config::Varint, config::Limit<MAX_FRAME>> {
    config::standard().with_limit::<MAX_FRAME>()
}

/// A message as a frame's payload.
///
/// # Errors
/// When it is longer than a frame may be.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, BadMessage> {
    let bytes =
        bincode::serde::encode_to_vec(message, settings()).map_err(|e| BadMessage(format!("cannot be sent: {e}")))?;
    if bytes.len() >= MAX_FRAME {
        return Err(BadMessage(format!("cannot be sent: {} bytes are over the limit of {MAX_FRAME}", bytes.len())));
    }
    Ok(bytes)
}

/// A message as a frame.
///
/// # Errors
/// As [`encode`].
pub fn frame<T: Serialize>(kind: Kind, message: &T) -> Result<Frame, BadMessage> {
    Ok(Frame { kind, payload: encode(message)? })
}

/// Reads a message; all bytes must belong to it.
///
/// # Errors
/// When the bytes are not such a message.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadMessage> {
    let (message, used) =
        bincode::serde::decode_from_slice(bytes, settings()).map_err(|e| BadMessage(format!("not understood: {e}")))?;
    if used != bytes.len() {
        return Err(BadMessage(format!("not understood: {} bytes too many", bytes.len() - used)));
    }
    Ok(message)
}
