//! Exported events: one JSON object a line, which anybody can verify with standard tools.
//!
//! A line is the event as `/audit/events` shows it, with `hashChain`, and with `salt` where it is
//! kept. Which details are personal is told by their names.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Head, to_json};
use crate::event::{Event, PERSONAL_DETAILS};
use crate::seal;

/// What stands before the text of a hash: the version of the chain.
const VERSION: &str = "h1:";
/// Fields beside the details that may name a person.
const PERSONAL: [&str; 3] = ["ipAddress", "userAgent", "location"];
/// Fields that the hash does not cover.
const UNCOVERED: [&str; 3] = ["hashChain", "verified", "salt"];

/// The event as a line of an export, without the end of the line.
pub fn to_line(event: &Event) -> String {
    let mut line = to_json(event);
    line["hashChain"] = json!(hash_text(&event.hash));
    if let Some(salt) = &event.salt {
        line["salt"] = json!(URL_SAFE_NO_PAD.encode(salt));
    }
    line.to_string()
}

/// A hash as exports and heads write it.
pub fn hash_text(hash: &[u8; 32]) -> String {
    format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(hash))
}

/// What is wrong with a line of an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportProblem {
    /// It is no event.
    #[error("it is no exported event: {0}")]
    Malformed(String),
    /// An event is missing before it, or stands twice.
    #[error("event {found} stands where {expected} is expected")]
    Gap {
        /// The sequence that comes next.
        expected: u64,
        /// The one that is there.
        found: u64,
    },
    /// The event, or one before it, was changed.
    #[error("event {0} does not follow from those before it")]
    Changed(u64),
}

/// Verifies an export, line by line. A part of a chain is verified from its second event on: the
/// first one shows what it follows from by its hash alone.
#[derive(Debug, Default)]
pub struct ExportVerifier {
    reached: Option<Head>,
    checked: u64,
}

impl ExportVerifier {
    /// How many events were as they should be.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// Where the chain has come to.
    pub fn head(&self) -> Head {
        self.reached.clone().unwrap_or_default()
    }

    /// The hash of the last event as text.
    pub fn head_text(&self) -> String {
        hash_text(&self.head().hash)
    }

    /// Takes the next line.
    pub fn take(&mut self, line: &str) -> Result<(), ExportProblem> {
        let malformed = |what: &str| ExportProblem::Malformed(what.into());
        let event: Value = serde_json::from_str(line)
            .map_err(|error| ExportProblem::Malformed(error.to_string()))?;
        let Value::Object(mut event) = event else { return Err(malformed("no object")) };
        let sequence = event.get("sequence").and_then(Value::as_u64);
        let sequence = sequence.ok_or_else(|| malformed("no sequence"))?;
        let hash = bytes::<32>(event.get("hashChain"), VERSION);
        let hash = hash.ok_or_else(|| malformed("no hashChain"))?;
        let salt = match event.get("salt") {
            None | Some(Value::Null) => None,
            salt => Some(bytes::<16>(salt, "").ok_or_else(|| malformed("no salt"))?),
        };
        UNCOVERED.iter().for_each(|name| drop(event.remove(*name)));
        digest_personal(&mut event, salt.as_ref())
            .ok_or_else(|| malformed("a personal value without a salt"))?;
        let previous = match &self.reached {
            Some(reached) if sequence != reached.sequence + 1 => {
                let (expected, found) = (reached.sequence + 1, sequence);
                return Err(ExportProblem::Gap { expected, found });
            }
            Some(reached) => Some(reached.hash),
            None if sequence == 1 => Some([0; 32]),
            None => None,
        };
        let canonical = serde_json_canonicalizer::to_vec(&event)
            .map_err(|error| ExportProblem::Malformed(error.to_string()))?;
        let follows = previous.is_none_or(|previous| {
            let expected: [u8; 32] =
                Sha256::new().chain_update(previous).chain_update(&canonical).finalize().into();
            expected == hash
        });
        if !follows {
            return Err(ExportProblem::Changed(sequence));
        }
        self.reached = Some(Head { sequence, hash });
        self.checked += 1;
        Ok(())
    }
}

/// Puts digests in the place of personal values; `None` if there is a value and no salt.
fn digest_personal(event: &mut Map<String, Value>, salt: Option<&[u8; 16]>) -> Option<()> {
    let mut personal: Vec<&mut Value> = Vec::new();
    for (name, value) in event.iter_mut() {
        if PERSONAL.contains(&name.as_str()) {
            personal.push(value);
        } else if name == "details"
            && let Some(details) = value.as_object_mut()
        {
            let named = details.iter_mut();
            let named = named.filter(|(name, _)| PERSONAL_DETAILS.contains(&name.as_str()));
            personal.extend(named.map(|(_, value)| value));
        }
    }
    for value in personal {
        if value.is_null() || value.get("digest").is_some() {
            continue;
        }
        let canonical = serde_json_canonicalizer::to_vec(value).ok()?;
        let digest = seal::mac(salt?, &canonical);
        *value = json!({ "digest": URL_SAFE_NO_PAD.encode(digest) });
    }
    Some(())
}

fn bytes<const N: usize>(value: Option<&Value>, prefix: &str) -> Option<[u8; N]> {
    let text = value?.as_str()?.strip_prefix(prefix)?;
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
