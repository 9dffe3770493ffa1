//! Bytes on their way to somewhere that may not take all of them at once.

use std::io;

/// What has gone is thrown away when it is so much, and half of all: a queue that is never
/// empty must not keep everything.
const GONE_MAX: usize = 64 * 1024;

/// Bytes on their way.
#[derive(Debug, Default)]
pub struct Queue {
    bytes: Vec<u8>,
    /// Bytes at the beginning that have gone.
    gone: usize,
}

impl Queue {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.gone > GONE_MAX && self.gone >= self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What has not gone yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.gone..]
    }

    /// Forgets what has not gone yet.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.gone = 0;
    }

    /// Writes what is taken now; `false` when there is something left.
    ///
    /// # Errors
    /// What `write` says, but that it would block or was interrupted.
    pub fn write(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        while self.gone < self.bytes.len() {
            match write(&self.bytes[self.gone..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.gone += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.clear();
        Ok(true)
    }
}
