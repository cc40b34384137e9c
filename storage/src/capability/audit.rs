//! The audit chain: every event of a tenant, each bound to all before it, personal values by digest
//! alone, so that they can be erased and the chain still verifies.

mod export;

use std::ops::ControlFlow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::codec;
use crate::event::{Detail, Draft, Event, Origin, Personal};
use crate::fault::Fault;
use crate::ids::{EventId, TenantNumber};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::records::Records;
use crate::seal;
use crate::state_machine::Step;
use crate::transaction::Transaction;

pub use export::{ExportProblem, ExportVerifier, hash_text, to_line};

/// The end of a tenant's chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Sequence of the last event; 0 before the first.
    pub sequence: u64,
    /// Hash of the last event; 32 zero bytes before the first.
    pub hash: [u8; 32],
}

/// The epoch of a tenant's chain: it changes when the chain goes on from a state that may not be the
/// last one, so that two heads of one sequence can be told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// 1, 2, 3 …
    pub number: u32,
    /// Since when.
    pub opened: Moment,
}

impl Default for Epoch {
    fn default() -> Self {
        Self { number: 1, opened: Moment::default() }
    }
}

/// What a walk of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many events were checked.
    pub checked: u64,
    /// The first event that does not follow from those before it.
    pub first_invalid: Option<u64>,
    /// Where the chain ends.
    pub head: Head,
}

/// What all events of one command share.
pub(crate) struct Circumstances<'a> {
    pub tenant: TenantNumber,
    pub time: Moment,
    pub origin: &'a Origin,
    pub seed: &'a [u8; 32],
}

/// Appends the events of one command to the tenant's chain, as one record.
pub(crate) fn append(
    transaction: &mut Transaction<'_>,
    circumstances: &Circumstances<'_>,
    drafts: Vec<Draft>,
) -> Result<(), Fault> {
    if drafts.is_empty() {
        return Ok(());
    }
    let tenant = circumstances.tenant;
    let head_key = keys::single(tenant, Kind::AuditHead);
    let mut head: Head = transaction.get(&head_key)?.unwrap_or_default();
    let first = head.sequence + 1;
    let mut events = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let event = link(&head, circumstances, draft)?;
        head = Head { sequence: event.sequence, hash: event.hash };
        events.push(event);
    }
    transaction.put(keys::events(tenant, first), &events)?;
    transaction.put(head_key, &head)
}

/// Erases the personal values of those events in one record that `concerns` points out, with the
/// salt of their digests. What stays verifies as before (RFC 8785 digests in their place).
pub(crate) fn erase(
    step: &mut Step<'_, '_>,
    first: u64,
    concerns: &dyn Fn(&Event) -> bool,
) -> Result<(), Fault> {
    let key = keys::events(step.tenant, first);
    let Some(mut events) = step.get::<Vec<Event>>(&key)? else { return Ok(()) };
    for event in events.iter_mut().filter(|event| concerns(event)) {
        event.erase();
    }
    step.put(key, &events)
}

impl Event {
    fn erase(&mut self) {
        let Some(salt) = self.salt.take() else { return };
        let details = self.details.iter_mut().filter_map(|(_, detail)| match detail {
            Detail::Personal(value) => Some(value),
            _ => None,
        });
        let origin = [&mut self.ip_address, &mut self.user_agent];
        for value in origin.into_iter().flatten().chain(details) {
            *value = Personal::Erased(digest(&salt, value));
        }
    }
}

/// What enters the chain in the place of a personal value.
fn digest(salt: &[u8; 16], value: &Personal) -> [u8; 32] {
    match value {
        Personal::Kept(text) => {
            let canonical = Value::String(text.clone()).to_string();
            seal::mac(salt, canonical.as_bytes())
        }
        Personal::Erased(digest) => *digest,
    }
}

/// Walks the whole chain of a tenant.
pub fn verify(records: &dyn Records, tenant: TenantNumber) -> Result<Verification, Fault> {
    let mut reached = Head::default();
    let mut first_invalid = None;
    let mut fault = None;
    records.scan(
        &keys::range(tenant, Kind::Events),
        None,
        &mut |_, value| match codec::decode::<Vec<Event>>(value) {
            Ok(events) => {
                for event in events {
                    let follows = event.sequence == reached.sequence + 1
                        && chain_hash(&reached.hash, &event).is_ok_and(|hash| hash == event.hash);
                    if !follows && first_invalid.is_none() {
                        first_invalid = Some(reached.sequence + 1);
                    }
                    reached = Head { sequence: event.sequence, hash: event.hash };
                }
                ControlFlow::Continue(())
            }
            Err(damage) => {
                fault = Some(damage);
                ControlFlow::Break(())
            }
        },
    )?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let head = records
        .get(&keys::single(tenant, Kind::AuditHead))?
        .map(|bytes| codec::decode::<Head>(&bytes))
        .transpose()?
        .unwrap_or_default();
    if head != reached && first_invalid.is_none() {
        first_invalid = Some(reached.sequence + 1);
    }
    Ok(Verification { checked: reached.sequence, first_invalid, head })
}

/// Every event of a tenant as a line of an export.
pub fn export(
    records: &dyn Records,
    tenant: TenantNumber,
    mut line: impl FnMut(String),
) -> Result<(), Fault> {
    let mut fault = None;
    records.scan(
        &keys::range(tenant, Kind::Events),
        None,
        &mut |_, value| match codec::decode::<Vec<Event>>(value) {
            Ok(events) => {
                events.iter().for_each(|event| line(to_line(event)));
                ControlFlow::Continue(())
            }
            Err(damage) => {
                fault = Some(damage);
                ControlFlow::Break(())
            }
        },
    )?;
    fault.map_or(Ok(()), Err)
}

/// The event as `/audit/events` shows it, `hashChain` and `verified` left out.
pub fn to_json(event: &Event) -> Value {
    render(event, &|value| match value {
        Personal::Kept(text) => Value::String(text.clone()),
        Personal::Erased(digest) => json!({ "digest": URL_SAFE_NO_PAD.encode(digest) }),
    })
}

fn link(head: &Head, circumstances: &Circumstances<'_>, draft: Draft) -> Result<Event, Fault> {
    let sequence = head.sequence + 1;
    let random = seal::mac(circumstances.seed, &sequence.to_be_bytes());
    let (salt, id) = random.split_at(16);
    let kept = |value: &Option<String>| value.clone().map(Personal::Kept);
    let mut event = Event {
        id: EventId::new(circumstances.time.0, u128::from_be_bytes(sixteen(id))),
        sequence,
        kind: draft.kind,
        user: draft.user,
        time: circumstances.time,
        ip_address: kept(&circumstances.origin.ip_address),
        user_agent: kept(&circumstances.origin.user_agent),
        details: draft.details,
        salt: Some(sixteen(salt)),
        hash: [0; 32],
    };
    event.hash = chain_hash(&head.hash, &event)?;
    Ok(event)
}

fn sixteen(bytes: &[u8]) -> [u8; 16] {
    let mut array = [0; 16];
    array.copy_from_slice(&bytes[..16]);
    array
}

/// SHA-256 of the previous hash and the event's canonical JSON (RFC 8785), personal values entering
/// by digest.
fn chain_hash(previous: &[u8; 32], event: &Event) -> Result<[u8; 32], Fault> {
    let salt = event.salt.unwrap_or_default();
    let digested =
        render(event, &|value| json!({ "digest": URL_SAFE_NO_PAD.encode(digest(&salt, value)) }));
    let canonical = serde_json_canonicalizer::to_vec(&digested)
        .map_err(|error| Fault::Damaged(format!("an event without canonical form: {error}")))?;
    Ok(Sha256::new().chain_update(previous).chain_update(&canonical).finalize().into())
}

fn render(event: &Event, personal: &dyn Fn(&Personal) -> Value) -> Value {
    let details: Map<String, Value> = event
        .details
        .iter()
        .map(|(name, detail)| {
            let value = match detail {
                Detail::Text(text) => Value::String(text.clone()),
                Detail::Number(number) => json!(number),
                Detail::Flag(flag) => Value::Bool(*flag),
                Detail::Personal(value) => personal(value),
            };
            (name.clone(), value)
        })
        .collect();
    json!({
        "id": event.id.to_string(),
        "sequence": event.sequence,
        "eventType": event.kind.audit_name(),
        "userId": event.user.map(|user| user.to_string()),
        "organizationId": null,
        "ipAddress": event.ip_address.as_ref().map(personal),
        "userAgent": event.user_agent.as_ref().map(personal),
        "timestamp": event.time.to_string(),
        "details": details,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::EventKind;

    type Memory = BTreeMap<Vec<u8>, Vec<u8>>;
    const TENANT: TenantNumber = TenantNumber(1);

    fn chain_of_three() -> Memory {
        let origin = Origin { ip_address: Some("192.0.2.1".into()), user_agent: None };
        let seed = [9; 32];
        let circumstances = Circumstances {
            tenant: TENANT,
            time: Moment(1_736_937_000_000),
            origin: &origin,
            seed: &seed,
        };
        let mut memory = Memory::new();
        for drafts in [
            vec![Draft::new(EventKind::UserCreated, None).with_personal("email", "a@example.com")],
            vec![Draft::new(EventKind::LoggedIn, None), Draft::new(EventKind::LoggedOut, None)],
        ] {
            let mut transaction = Transaction::new(&memory);
            append(&mut transaction, &circumstances, drafts).expect("an append");
            transaction.accept();
            for (key, value) in transaction.finish().writes {
                memory.insert(key, value.expect("appends remove nothing"));
            }
        }
        memory
    }

    fn change(memory: &mut Memory, first: u64, change: impl Fn(&mut Vec<Event>)) {
        let key = keys::events(TENANT, first);
        let mut events: Vec<Event> = codec::decode(&memory[&key]).expect("events");
        change(&mut events);
        memory.insert(key, codec::encode(&events).expect("events"));
    }

    #[test]
    fn a_chain_verifies_until_an_event_is_changed() {
        let mut memory = chain_of_three();
        let sound = verify(&memory, TENANT).expect("a walk");
        assert_eq!((sound.checked, sound.first_invalid), (3, None));
        change(&mut memory, 2, |events| events[0].kind = EventKind::LoginFailed);
        assert_eq!(verify(&memory, TENANT).expect("a walk").first_invalid, Some(2));
    }

    fn lines(memory: &Memory) -> Vec<String> {
        let mut lines = Vec::new();
        export(memory, TENANT, |line| lines.push(line)).expect("an export");
        lines
    }

    fn verified(lines: &[String]) -> Result<u64, ExportProblem> {
        let mut verifier = ExportVerifier::default();
        lines.iter().try_for_each(|line| verifier.take(line))?;
        Ok(verifier.checked())
    }

    #[test]
    fn an_export_verifies_by_itself_until_a_line_is_changed() {
        let lines = lines(&chain_of_three());
        assert_eq!(verified(&lines), Ok(3));
        assert_eq!(verified(&lines[1..]), Ok(2), "a part verifies as well");
        let gap = ExportProblem::Gap { expected: 2, found: 3 };
        assert_eq!(verified(&[lines[0].clone(), lines[2].clone()]), Err(gap));
        for (from, to) in [
            ("a@example", "b@example"),
            ("192.0.2.1", "192.0.2.2"),
            ("user.created", "user.deleted"),
        ] {
            let mut changed = lines.clone();
            changed[0] = changed[0].replace(from, to);
            assert_eq!(verified(&changed), Err(ExportProblem::Changed(1)), "{from}");
        }
        assert!(matches!(verified(&["{}".into()]), Err(ExportProblem::Malformed(_))));
    }

    #[test]
    fn an_export_verifies_after_values_were_erased() {
        let mut memory = chain_of_three();
        change(&mut memory, 1, |events| {
            let salt = events[0].salt.take().expect("a salt");
            let erase =
                |text: &str| Personal::Erased(seal::mac(&salt, format!("{text:?}").as_bytes()));
            events[0].ip_address = Some(erase("192.0.2.1"));
            events[0].details[0].1 = Detail::Personal(erase("a@example.com"));
        });
        assert_eq!(verified(&lines(&memory)), Ok(3));
    }

    #[test]
    fn a_cut_tail_shows() {
        let mut memory = chain_of_three();
        memory.remove(&keys::events(TENANT, 2));
        assert_eq!(verify(&memory, TENANT).expect("a walk").first_invalid, Some(2));
    }

    #[test]
    fn erasing_a_value_and_its_salt_leaves_the_chain_whole() {
        let mut memory = chain_of_three();
        change(&mut memory, 1, |events| {
            let salt = events[0].salt.expect("a salt");
            let erased =
                |text: &str| Personal::Erased(seal::mac(&salt, format!("{text:?}").as_bytes()));
            events[0].erase();
            assert_eq!(events[0].ip_address, Some(erased("192.0.2.1")));
            assert_eq!(events[0].details[0].1, Detail::Personal(erased("a@example.com")));
            assert_eq!(events[0].salt, None);
        });
        assert_eq!(verify(&memory, TENANT).expect("a walk").first_invalid, None);
    }
}
