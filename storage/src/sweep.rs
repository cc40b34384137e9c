//! Removal of what has expired. The shard's leader walks the records at leisure and proposes what it
//! found; whether it has expired is decided here, by the shard's own time.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::capability::email_verification::Contest;
use crate::capability::limits::Counter;
use crate::capability::passwords::Lockout;
use crate::capability::phones::{PhoneCode, Sends, TextMessage};
use crate::capability::sessions::{self, Ended, Expire, Session};
use crate::capability::tenants::SigningKey;
use crate::codec;
use crate::command::{Reply, Stop};
use crate::fault::Fault;
use crate::idempotency;
use crate::ids::SessionId;
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::one_time::OneTime;
use crate::outbox::{self, Mail};
use crate::state_machine::Step;
use crate::traces::Trace;

/// The kinds of record that expire.
pub const KINDS: [Kind; 15] = [
    Kind::Session,
    Kind::Ended,
    Kind::Lockout,
    Kind::Idempotency,
    Kind::SigningKey,
    Kind::OneTime,
    Kind::PhoneCode,
    Kind::PhoneSends,
    Kind::TextMessage,
    Kind::Mail,
    Kind::Counter,
    Kind::MfaGuesses,
    Kind::Trace,
    Kind::Answered,
    Kind::Contest,
];

/// How many spent tokens one command removes, so that no other waits long behind it.
const SPENT_AT_ONCE: usize = 500;

/// Records that the sweeper took for expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Their keys.
    pub keys: Vec<Vec<u8>>,
}

/// When the record of this kind may go, if it ever may.
pub fn expiry(kind: Kind, value: &[u8]) -> Result<Option<Moment>, Fault> {
    Ok(match kind {
        Kind::Session => Some(codec::decode::<Session>(value)?.expires),
        Kind::Ended => Some(codec::decode::<Ended>(value)?.expires),
        Kind::Lockout | Kind::MfaGuesses => Some(codec::decode::<Lockout>(value)?.expires),
        Kind::Idempotency => Some(codec::decode::<idempotency::Record>(value)?.expires),
        Kind::SigningKey => codec::decode::<SigningKey>(value)?.retires,
        Kind::OneTime => Some(codec::decode::<OneTime>(value)?.expires),
        Kind::PhoneCode => Some(codec::decode::<PhoneCode>(value)?.expires),
        Kind::PhoneSends => Some(codec::decode::<Sends>(value)?.expires),
        Kind::TextMessage => Some(codec::decode::<TextMessage>(value)?.expires),
        Kind::Mail => Some(codec::decode::<Mail>(value)?.expires),
        Kind::Counter => Some(codec::decode::<Counter>(value)?.expires()),
        Kind::Trace | Kind::Answered => Some(codec::decode::<Trace>(value)?.expires),
        Kind::Contest => codec::decode::<Contest>(value)?.expires(),
        _ => None,
    })
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    let mut removed = 0;
    let mut spent = SPENT_AT_ONCE;
    for key in command.keys {
        removed += u32::from(remove(step, key, &mut spent)?);
    }
    Ok(Reply::Count(removed))
}

fn remove(step: &mut Step<'_, '_>, key: Vec<u8>, spent: &mut usize) -> Result<bool, Stop> {
    let Some(kind) =
        KINDS.into_iter().find(|kind| key.starts_with(&keys::range(step.tenant, *kind)))
    else {
        return Ok(false);
    };
    match kind {
        Kind::Session => expire_session(step, &key),
        Kind::Ended => forget_session(step, &key, spent),
        Kind::Lockout | Kind::MfaGuesses => {
            delete_if(step, key, |record: &Lockout| Some(record.expires))
        }
        Kind::OneTime => delete_if(step, key, |record: &OneTime| Some(record.expires)),
        Kind::PhoneCode => delete_if(step, key, |record: &PhoneCode| Some(record.expires)),
        Kind::PhoneSends => delete_if(step, key, |record: &Sends| Some(record.expires)),
        Kind::TextMessage => delete_if(step, key, |record: &TextMessage| Some(record.expires)),
        Kind::Mail => outbox::expire(step, &key),
        Kind::Counter => delete_if(step, key, |record: &Counter| Some(record.expires())),
        Kind::Trace | Kind::Answered => delete_if(step, key, |record: &Trace| Some(record.expires)),
        Kind::Contest => delete_if(step, key, Contest::expires),
        Kind::SigningKey => {
            let retired = delete_if(step, key, |record: &SigningKey| record.retires)?;
            if retired {
                step.tenant_changed();
            }
            Ok(retired)
        }
        _ => delete_if(step, key, |record: &idempotency::Record| Some(record.expires)),
    }
}

fn delete_if<T: DeserializeOwned>(
    step: &mut Step<'_, '_>,
    key: Vec<u8>,
    expires: impl Fn(&T) -> Option<Moment>,
) -> Result<bool, Stop> {
    let Some(record) = step.get::<T>(&key)? else { return Ok(false) };
    let over = expires(&record).is_some_and(|expires| expires <= step.now);
    if over {
        step.delete(key);
    }
    Ok(over)
}

fn expire_session(step: &mut Step<'_, '_>, key: &[u8]) -> Result<bool, Stop> {
    let Some(session) = step.get::<Session>(key)? else { return Ok(false) };
    if session.expires > step.now {
        return Ok(false);
    }
    sessions::apply(
        step,
        sessions::Command::Expire(Expire { user: session.user, session: session.id }),
    )?;
    Ok(true)
}

/// A session with more spent tokens than are left keeps its mark for another time.
fn forget_session(step: &mut Step<'_, '_>, key: &[u8], spent: &mut usize) -> Result<bool, Stop> {
    let Some(mark) = step.get::<Ended>(key)? else { return Ok(false) };
    let mut id = [0; 16];
    let Some(bytes) = key.len().checked_sub(16).map(|at| &key[at..]) else { return Ok(false) };
    id.copy_from_slice(bytes);
    if mark.expires > step.now || *spent == 0 {
        return Ok(false);
    }
    *spent -= sessions::forget(step, SessionId::from_bytes(id), &mark, *spent)?;
    Ok(*spent > 0)
}
