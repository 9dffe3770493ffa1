//! A frame: four bytes of length (little endian, of what follows), one byte of kind,
//! the payload.

use std::io::{self, Read, Write};

/// Longest frame after its length field, in bytes: room for the longest prompt with the
/// largest environment.
pub const MAX_FRAME: usize = 2 * 1024 * 1024;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The control set: fixed bytes, the same in every version.
    Control = 0,
    /// A request in bincode.
    Request = 1,
    /// A reply in bincode; streams send several.
    Reply = 2,
    /// Why the daemon will not talk: UTF-8 text for a person. The connection ends.
    Refusal = 3,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Control, Kind::Request, Kind::Reply, Kind::Refusal].into_iter().find(|k| *k as u8 == byte)
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: Kind,
    /// Its payload, at most [`MAX_FRAME`] − 1 bytes.
    pub payload: Vec<u8>,
}

/// Bytes that are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Longer than allowed.
    #[error("a frame of {0} bytes is longer than the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// Too short to carry its kind.
    #[error("an empty frame")]
    Empty,
    /// A kind nobody here knows.
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
}

/// Bytes before the payload.
pub const HEADER: usize = 5;

impl Frame {
    /// The frame as bytes.
    ///
    /// # Errors
    /// [`BadFrame::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, BadFrame> {
        let length = self.payload.len() + 1;
        if length > MAX_FRAME {
            return Err(BadFrame::TooLong(length));
        }
        let mut bytes = Vec::with_capacity(length + 4);
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&self.payload);
        Ok(bytes)
    }

    /// Reads a header: the kind and how many bytes of payload follow. Nothing has to be
    /// allocated before this has checked the length.
    ///
    /// # Errors
    /// Any [`BadFrame`].
    pub fn header(bytes: [u8; HEADER]) -> Result<(Kind, usize), BadFrame> {
        let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        if length == 0 {
            return Err(BadFrame::Empty);
        }
        if length > MAX_FRAME {
            return Err(BadFrame::TooLong(length));
        }
        let kind = Kind::of(bytes[4]).ok_or(BadFrame::UnknownKind(bytes[4]))?;
        Ok((kind, length - 1))
    }

    /// Reads one frame, waiting for it.
    ///
    /// # Errors
    /// The stream's own; `InvalidData` for bytes that are not a frame.
    pub fn read(stream: &mut impl Read) -> io::Result<Frame> {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header)?;
        let (kind, length) = Frame::header(header).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        let mut payload = Vec::new();
        // Grows as bytes arrive: an announced length alone costs nothing.
        stream.take(length as u64).read_to_end(&mut payload)?;
        if payload.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Frame { kind, payload })
    }

    /// Writes the frame.
    ///
    /// # Errors
    /// The stream's own; `InvalidInput` for a frame over the limit.
    pub fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let bytes = self.encode().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        stream.write_all(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire_and_every_prefix_is_incomplete() {
        let frame = Frame { kind: Kind::Request, payload: b"hello".to_vec() };
        let bytes = frame.encode().unwrap();
        assert_eq!(bytes, b"\x06\0\0\0\x01hello");
        assert_eq!(Frame::read(&mut bytes.as_slice()).unwrap(), frame);
        for end in 0..bytes.len() {
            let error = Frame::read(&mut &bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}");
        }
    }

    #[test]
    fn hostile_headers_are_refused_before_anything_is_allocated() {
        assert_eq!(Frame::header([0, 0, 0, 0, 1]), Err(BadFrame::Empty));
        assert_eq!(Frame::header([255, 255, 255, 255, 1]), Err(BadFrame::TooLong(u32::MAX as usize)));
        assert_eq!(Frame::header([2, 0, 0, 0, 9]), Err(BadFrame::UnknownKind(9)));
        let long = Frame { kind: Kind::Reply, payload: vec![0; MAX_FRAME] };
        assert_eq!(long.encode(), Err(BadFrame::TooLong(MAX_FRAME + 1)));
    }
}
