//! The segment files of a recording, in whichever of their two forms.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Form, compress, compressed, segment, segment_name};

/// A run of bytes that follow one another.
#[derive(Debug)]
pub(super) struct Segment {
    /// 1 for the first.
    pub number: u32,
    /// Bytes the program had written before.
    pub offset: u64,
    /// Bytes in it.
    pub length: u64,
    pub content: Content,
}

/// What is there of a segment to be read.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// Not looked at yet.
    #[default]
    Unopened,
    /// Stays readable when it is dropped or compressed meanwhile.
    File(File),
    /// Decompressed, or out of a pack.
    Bytes(Vec<u8>),
    /// Nothing, as was said.
    Damaged,
}

impl Segment {
    /// Makes it readable.
    ///
    /// # Errors
    /// `NotFound` when it is not there any more, `InvalidData` when it is damaged: said
    /// once, and then it is empty.
    pub fn open(&mut self, directory: &Path) -> io::Result<()> {
        let path = compressed(directory, self.number);
        let mut content = compress::read(&path).map(Content::Bytes);
        if is_gone(&content) {
            content = File::open(segment(directory, self.number)).map(Content::File);
        }
        if is_gone(&content) {
            // Compressed since.
            content = compress::read(&path).map(Content::Bytes);
        }
        if content.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            self.content = Content::Damaged;
        }
        self.content = content?;
        Ok(())
    }

    /// Reads from `skip` on; 0 when there is nothing.
    ///
    /// # Errors
    /// The system's own.
    pub fn read_at(&self, skip: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.content {
            Content::File(file) => file.read_at(buffer, skip),
            Content::Bytes(bytes) => {
                let rest = usize::try_from(skip).ok().and_then(|skip| bytes.get(skip..)).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
            Content::Unopened | Content::Damaged => Ok(0),
        }
    }
}

/// The segments in a directory and their lengths, in order. Of a damaged one nobody knows
/// how long it was.
///
/// # Errors
/// The system's own.
pub(super) fn list(directory: &Path) -> io::Result<BTreeMap<u32, Option<u64>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some((number, form)) = entry.file_name().to_str().and_then(segment_name) else { continue };
        let length = match form {
            Form::Raw => entry.metadata().map(|file| file.len()),
            Form::Compressed => compress::length(&entry.path()),
        };
        if let Some(length) = there(length)? {
            // The compressed one counts where both are there.
            if form == Form::Compressed {
                found.insert(number, length);
            } else {
                found.entry(number).or_insert(length);
            }
        }
    }
    Ok(found)
}

/// The length of one segment, if it is there. Looked for by its names: a listing may miss
/// one that was renamed meanwhile.
///
/// # Errors
/// The system's own.
pub(super) fn find(directory: &Path, number: u32) -> io::Result<Option<Option<u64>>> {
    let length = || there(compress::length(&compressed(directory, number)));
    if let Some(found) = length()? {
        return Ok(Some(found));
    }
    match there(fs::metadata(segment(directory, number)).map(|file| file.len()))? {
        // Compressed since.
        None => length(),
        found => Ok(found),
    }
}

fn is_gone<T>(found: &io::Result<T>) -> bool {
    found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn there(length: io::Result<u64>) -> io::Result<Option<Option<u64>>> {
    match length {
        Ok(length) => Ok(Some(Some(length))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(None)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
