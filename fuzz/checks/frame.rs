//! Any bytes from a client, a daemon or a keeper: they are refused, or are a message that
//! says the same when it is written again.

use autodev::protocol::frame::{Frame, Kind, MAX_FRAME};
use autodev::protocol::keeper::{self, FromKeeper, ToKeeper};
use autodev::protocol::{Reply, Request, codec};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte says what the others are taken for.
pub fn check(data: &[u8]) {
    let Some((what, mut bytes)) = data.split_first() else { return };
    match what % 4 {
        0 => {
            while let Ok(frame) = Frame::read(&mut bytes) {
                assert!(frame.payload.len() <= MAX_FRAME);
                match frame.kind {
                    Kind::Request => again::<Request>(&frame.payload),
                    Kind::Reply => again::<Reply>(&frame.payload),
                    _ => {}
                }
            }
        }
        1 => {
            while let Ok(Some(whole)) = keeper::split(bytes) {
                if let Ok(Some(message)) = ToKeeper::decode(whole.kind, whole.payload) {
                    let written = message.encode();
                    let read = keeper::split(&written).ok().flatten();
                    let read = read.and_then(|whole| ToKeeper::decode(whole.kind, whole.payload).ok().flatten());
                    assert_eq!(read, Some(message));
                }
                if let Ok(Some(message)) = FromKeeper::decode(whole.kind, whole.payload) {
                    let written = message.encode();
                    let read = keeper::split(&written).ok().flatten();
                    let read = read.and_then(|whole| FromKeeper::decode(whole.kind, whole.payload).ok().flatten());
                    assert_eq!(read, Some(message));
                }
                bytes = &bytes[whole.length..];
            }
        }
        2 => again::<Request>(bytes),
        _ => again::<Reply>(bytes),
    }
}

fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = codec::decode::<T>(bytes) else { return };
    // Compared as bytes: not every part of a message can be compared.
    let Ok(written) = codec::encode(&message) else { return };
    let Ok(read) = codec::decode::<T>(&written) else { panic!("what was written cannot be read") };
    assert!(codec::encode(&read).is_ok_and(|again| again == written));
}
