//! Text messages on their way to numbers that are given up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::erasure::sealed;
use super::{TENANT, World, signed_in, user};
use crate::capability::phones::{self, Allowance, Report, Send};
use crate::capability::users::{self, Changes, Delete, Update};
use crate::command::{Command, Proposal, Reply};
use crate::event::Origin;
use crate::fault::Fault;
use crate::ids::MessageId;
use crate::keys::{self, Kind};
use crate::records::{Records, Visit};
use crate::state_machine::apply;
use crate::sweep;
use crate::transaction::Transaction;

const WAITS: Duration = Duration::from_secs(600);

/// Records that count how many of them are passed on the way.
struct Passed<'a> {
    records: &'a BTreeMap<Vec<u8>, Vec<u8>>,
    count: AtomicUsize,
}

impl Records for Passed<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Records::get(self.records, key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), Fault> {
        self.records.scan(prefix, after, &mut |key, value| {
            self.count.fetch_add(1, Ordering::Relaxed);
            visit(key, value)
        })
    }
}

fn moves_to(number: u8, phone: &str) -> Command {
    let changes = Changes { phone_number: Some(Some(phone.into())), ..Changes::default() };
    let update = Update { user: user(number), changes };
    Command::Users(users::Command::Update(Box::new(update)))
}

fn message(number: u8) -> MessageId {
    MessageId::new(1, number.into())
}

impl World {
    /// Somebody with this number to whom a code is on its way.
    fn texted(&mut self, number: u8) {
        signed_in(self.register(number));
        let phone = format!("+49123{number}");
        assert!(matches!(self.propose(moves_to(number, &phone)), Ok(Reply::Profile(_))));
        let send = Send {
            user: user(number),
            number: phone,
            code: [1; 32],
            ttl_ms: 600_000,
            allowance: Allowance { most: 5, window_ms: 3_600_000 },
            message: message(number),
            content: sealed(),
        };
        let send = Command::Phones(phones::Command::Send(Box::new(send)));
        assert_eq!(self.propose(send), Ok(Reply::Done));
    }

    fn is_on_its_way_to(&self, number: u8) -> bool {
        self.view().text_message(message(number)).expect("no fault").is_some()
    }

    /// How many records a command passes when it is applied.
    fn passed_by(&self, command: Command) -> usize {
        let passed = Passed { records: &self.records, count: AtomicUsize::new(0) };
        let proposal = Proposal {
            tenant: TENANT,
            proposed: self.now,
            seed: [0; 32],
            origin: Origin::default(),
            idempotency: None,
            command,
        };
        apply(&mut Transaction::new(&passed), proposal).expect("no fault").expect("it is taken");
        passed.count.into_inner()
    }
}

#[test]
fn a_text_message_goes_with_the_number_that_it_is_sent_to_and_no_other_does() {
    let delete = Delete { user: user(1), verified: 1 };
    let ends = Command::Users(users::Command::Delete(delete));
    for given_up in [moves_to(1, "+49999"), ends] {
        let mut world = World::new();
        world.texted(1);
        world.texted(2);
        assert!(world.propose(given_up).is_ok());
        assert!(!world.is_on_its_way_to(1) && world.is_on_its_way_to(2));
    }
}

#[test]
fn giving_up_a_number_takes_no_longer_for_what_waits_for_others() {
    let mut world = World::new();
    world.texted(1);
    world.texted(2);
    let alone = world.passed_by(moves_to(1, "+49999"));
    let others = world.records[&keys::text_message(TENANT, message(2))].clone();
    for number in 0..1000_u128 {
        let key = keys::text_message(TENANT, MessageId::new(2, number));
        world.records.insert(key, others.clone());
    }
    assert_eq!(world.passed_by(moves_to(1, "+49999")), alone);
}

#[test]
fn what_tells_of_a_text_message_is_swept_with_it() {
    let mut world = World::new();
    world.texted(1);
    let report = Report { message: message(1), next: None };
    assert_eq!(world.propose(Command::Phones(phones::Command::Report(report))), Ok(Reply::Done));
    assert_eq!((world.count(Kind::TextMessage), world.count(Kind::Trace)), (0, 1));
    world.pass(WAITS);
    let keys = world.expired();
    world.propose(Command::Sweep(sweep::Command { keys })).expect("it is swept");
    assert_eq!(world.count(Kind::Trace), 0);
}
