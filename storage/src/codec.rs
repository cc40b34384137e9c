//! How records, commands and replies become bytes: one version byte, then bincode. Append-only:
//! an enum grows at its end, a record that changes shape gets a new version and keeps its old
//! decoder. `golden/` holds one of every version ever written, and a test decodes them all.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Fault;

/// The version that this program writes.
pub const VERSION: u8 = 1;

const FORMAT: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
> = bincode::config::standard();

/// Version byte and content.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(128);
    bytes.push(VERSION);
    bincode::serde::encode_into_std_write(value, &mut bytes, FORMAT)
        .map_err(|error| Fault::Damaged(format!("a value that cannot be encoded: {error}")))?;
    Ok(bytes)
}

/// What a value begins with, whatever follows: enough to say to whom an answer is due.
pub fn decode_front<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, content) = bytes.split_first()?;
    let front = bincode::serde::decode_from_slice(content, FORMAT).ok()?;
    (*version == VERSION).then_some(front.0)
}

/// The value that `encode` wrote; every byte must be used.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let (version, content) =
        bytes.split_first().ok_or_else(|| Fault::Damaged("an empty record".into()))?;
    if *version != VERSION {
        let found = u32::from(*version);
        return Err(Fault::Newer { what: "a record", found, known: u32::from(VERSION) });
    }
    let (value, used) = bincode::serde::decode_from_slice(content, FORMAT)
        .map_err(|error| Fault::Damaged(format!("a record that does not decode: {error}")))?;
    if used != content.len() {
        return Err(Fault::Damaged("a record with bytes left over".into()));
    }
    Ok(value)
}
