//! What commands do to records, one proposal at a time.

mod api_keys;
mod cluster;
mod contests;
mod erasure;
mod factors;
mod guesses;
mod mails;
mod phones;
mod refresh;
mod standing;
mod tenants;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::apply;
use crate::capability::passwords::{Fail, FailWithin, LockoutPolicy, LogIn};
use crate::capability::sessions::{AccessGrant, LogOut, Refresh, Start};
use crate::capability::users::{Changes, Delete, Leave, Register, Update};
use crate::capability::{audit, passwords, sessions, users};
use crate::codec;
use crate::command::{Command, Outcome, Proposal, Rejection, Reply};
use crate::event::{Event, Origin};
use crate::idempotency::{Guess, Ticket};
use crate::ids::{DeviceId, SessionId, TenantNumber, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::records::Records;
use crate::seal::Key;
use crate::secret::SecretHash;
use crate::sweep;
use crate::transaction::Transaction;
use crate::view::View;

const TENANT: TenantNumber = TenantNumber(1);
const START: Moment = Moment(1_736_937_000_000);
const WEEK_MS: u64 = 7 * 24 * 3_600_000;
const POLICY: LockoutPolicy = LockoutPolicy {
    attempts: 5,
    window: Duration::from_secs(900),
    duration: Duration::from_secs(900),
};

struct World {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    now: Moment,
    ticket: Option<Ticket>,
}

impl World {
    fn new() -> Self {
        Self { records: BTreeMap::new(), now: START, ticket: None }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    fn propose(&mut self, command: Command) -> Outcome {
        self.propose_for(TENANT, command)
    }

    fn propose_for(&mut self, tenant: TenantNumber, command: Command) -> Outcome {
        let proposal = Proposal {
            tenant,
            proposed: self.now,
            seed: [self.records.len() as u8; 32],
            origin: Origin::default(),
            idempotency: self.ticket.clone(),
            command,
        };
        let mut transaction = Transaction::new(&self.records);
        let outcome = apply(&mut transaction, proposal).expect("no fault");
        for (key, value) in transaction.finish().writes {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
        outcome
    }

    fn register(&mut self, number: u8) -> Outcome {
        self.propose(Command::Users(users::Command::Register(Box::new(Register {
            id: user(number),
            email: email(number),
            first_name: None,
            last_name: None,
            metadata: "{}".into(),
            password: "$argon2id$".into(),
            start: Some(begin(number, token(number))),
        }))))
    }

    fn log_in(&mut self, number: u8, session: u8, most: u32) -> Outcome {
        let start = Start { most, ..begin(session, token(session)) };
        self.propose(Command::Passwords(passwords::Command::LogIn(Box::new(LogIn {
            user: user(number),
            verified: 1,
            rehashed: None,
            start,
        }))))
    }

    fn guess_wrong(&mut self, number: u8) -> Outcome {
        self.propose(Command::Passwords(passwords::Command::Fail(Fail {
            email: email(number),
            user: None,
            policy: POLICY,
        })))
    }

    fn refresh(&mut self, presented: u8, successor: u8) -> Outcome {
        self.rotate(token(presented), token(successor))
    }

    fn rotate(&mut self, presented: SecretHash, successor: SecretHash) -> Outcome {
        let sealed = Key::new([1; 32]).seal([0; 12], b"", &successor.0[..1]).expect("sealing");
        self.propose(Command::Sessions(sessions::Command::Refresh(Box::new(Refresh {
            presented,
            successor,
            sealed,
            access: AccessGrant { token_id: [0; 16], ttl_ms: 3_600_000 },
            sliding_ttl_ms: None,
        }))))
    }

    fn events(&self) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        let range = keys::range(TENANT, Kind::Events);
        let read = self.records.scan(&range, None, &mut |_, value| {
            let events: Vec<Event> = codec::decode(value).expect("events");
            kinds.extend(events.iter().map(|event| event.kind.webhook_name()));
            ControlFlow::Continue(())
        });
        read.expect("no fault");
        let chain = audit::verify(&self.records, TENANT).expect("no fault");
        assert_eq!((chain.checked, chain.first_invalid), (kinds.len() as u64, None));
        kinds
    }

    fn view(&self) -> View<'_> {
        View::new(&self.records, TENANT)
    }

    fn expired(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for kind in sweep::KINDS {
            let read = self.records.scan(&keys::range(TENANT, kind), None, &mut |key, value| {
                if sweep::expiry(kind, value).expect("no fault").is_some_and(|at| at <= self.now) {
                    found.push(key.to_vec());
                }
                ControlFlow::Continue(())
            });
            read.expect("no fault");
        }
        found
    }
}

fn user(number: u8) -> UserId {
    UserId::new(1, number.into())
}

fn email(number: u8) -> String {
    format!("user{number}@example.com")
}

fn token(number: u8) -> SecretHash {
    SecretHash([number; 32])
}

fn begin(session: u8, token: SecretHash) -> Start {
    Start {
        session: SessionId::new(session.into(), session.into()),
        device: DeviceId::new(1, session.into()),
        fingerprint: [9; 16],
        origin: Origin::default(),
        token,
        access: AccessGrant { token_id: [0; 16], ttl_ms: 3_600_000 },
        ttl_ms: WEEK_MS,
        most: 100,
    }
}

fn signed_in(outcome: Outcome) -> sessions::SignedIn {
    match outcome {
        Ok(Reply::SignedIn(signed_in)) => *signed_in,
        other => panic!("no session: {other:?}"),
    }
}

#[test]
fn an_address_is_registered_once() {
    let mut world = World::new();
    signed_in(world.register(1));
    let before = world.records.clone();
    assert_eq!(world.register(1), Err(Rejection::EmailAlreadyExists));
    assert_eq!(world.records, before, "a rejected command leaves no trace");
    assert_eq!(world.events(), ["user.created", "session.created"]);
}

#[test]
fn a_logged_out_session_is_told_from_one_that_never_was() {
    let mut world = World::new();
    signed_in(world.register(1));
    let log_out = || Command::Sessions(sessions::Command::LogOut(LogOut { token: token(1) }));
    assert_eq!(world.propose(log_out()), Ok(Reply::Done));
    assert_eq!(world.propose(log_out()), Err(Rejection::SessionRevoked));
    assert_eq!(world.refresh(1, 2), Err(Rejection::SessionRevoked));
    assert_eq!(world.refresh(7, 8), Err(Rejection::InvalidToken));
}

#[test]
fn the_oldest_session_makes_room() {
    let mut world = World::new();
    signed_in(world.register(1));
    for session in 2..5 {
        signed_in(world.log_in(1, session, 3));
    }
    let live: Vec<_> = world.view().sessions(user(1)).expect("no fault");
    let live: Vec<_> = live.iter().map(|session| session.token).collect();
    assert_eq!(live, [token(2), token(3), token(4)]);
    assert_eq!(world.refresh(1, 9), Err(Rejection::SessionRevoked));
}

#[test]
fn a_device_keeps_its_id() {
    let mut world = World::new();
    let first = signed_in(world.register(1)).device;
    assert_eq!(signed_in(world.log_in(1, 2, 100)).device, first);
}

#[test]
fn an_update_names_what_changed_and_unverifies_a_new_number() {
    let mut world = World::new();
    signed_in(world.register(1));
    let changes = Changes { phone_number: Some(Some("+4912345".into())), ..Changes::default() };
    let update = Update { user: user(1), changes };
    let update = || Command::Users(users::Command::Update(Box::new(update.clone())));
    assert!(matches!(world.propose(update()), Ok(Reply::Profile(_))));
    let events = world.events().len();
    assert!(matches!(world.propose(update()), Ok(Reply::Profile(_))));
    assert_eq!(world.events().len(), events, "no change, no event");
}

#[test]
fn a_deleted_account_takes_its_sessions_along_and_frees_its_address() {
    let mut world = World::new();
    signed_in(world.register(1));
    let delete =
        |verified| Command::Users(users::Command::Delete(Delete { user: user(1), verified }));
    assert_eq!(world.propose(delete(2)), Err(Rejection::InvalidCredentials));
    assert_eq!(world.propose(delete(1)), Ok(Reply::Done));
    assert_eq!(world.refresh(1, 2), Err(Rejection::SessionRevoked));
    assert_eq!(world.view().user_by_email(&email(1)).expect("no fault"), None);
    assert!(world.events().contains(&"user.deleted"));
}

#[test]
fn the_same_request_is_answered_the_same_and_done_once() {
    let mut world = World::new();
    let ticket = Ticket {
        digest: [1; 32],
        request: [2; 32],
        secrets: None,
        expires: START.after(Duration::from_secs(86_400)),
    };
    world.ticket = Some(ticket.clone());
    let first = world.register(1);
    match world.register(1) {
        Ok(Reply::Recorded(recorded)) => assert_eq!(recorded.outcome, first),
        other => panic!("not recorded: {other:?}"),
    }
    world.ticket = Some(Ticket { request: [3; 32], ..ticket.clone() });
    assert_eq!(world.register(1), Err(Rejection::IdempotencyConflict));
    world.ticket = Some(Ticket { digest: [4; 32], ..ticket });
    assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess), "a 401 is asked anew");
    world.pass(Duration::from_secs(86_400));
    world.ticket = Some(Ticket { digest: [1; 32], ..world.ticket.clone().expect("a ticket") });
    assert_eq!(world.register(1), Err(Rejection::EmailAlreadyExists), "kept for 24 hours");
}

#[test]
fn what_has_expired_is_swept_and_nothing_else() {
    let mut world = World::new();
    signed_in(world.register(1));
    signed_in(world.register(2));
    assert!(matches!(world.refresh(1, 5), Ok(Reply::Renewed(_))));
    assert_eq!(world.guess_wrong(3), Ok(Reply::WrongGuess));
    let all = world.records.keys().cloned().collect::<Vec<_>>();
    let sweep = |keys| Command::Sweep(sweep::Command { keys });
    assert_eq!(world.propose(sweep(all)), Ok(Reply::Count(0)));
    world.pass(Duration::from_millis(WEEK_MS));
    let keys = world.expired();
    assert_eq!(world.propose(sweep(keys)), Ok(Reply::Count(3)), "two sessions and a guess");
    assert_eq!(world.refresh(5, 6), Err(Rejection::SessionExpired));
    let keys = world.expired();
    assert_eq!(world.propose(sweep(keys)), Ok(Reply::Count(2)), "the marks of both");
    assert_eq!(world.refresh(5, 6), Err(Rejection::InvalidToken));
    for kind in [Kind::RefreshToken, Kind::Spent, Kind::Ended, Kind::Session] {
        let range = keys::range(TENANT, kind);
        assert!(!world.records.keys().any(|key| key.starts_with(&range)), "{kind:?} is left");
    }
}

#[test]
fn time_never_goes_back() {
    let mut world = World::new();
    signed_in(world.register(1));
    world.now = Moment(START.0 - 1000);
    assert_eq!(signed_in(world.register(2)).profile.created, START);
}

#[test]
fn a_hidden_registration_is_answered_alike_and_changes_nothing() {
    let mut world = World::new();
    signed_in(world.register(1));
    let before = world.records.clone();
    let again = world.propose(Command::Users(users::Command::Register(Box::new(Register {
        id: user(2),
        email: email(1),
        first_name: Some("Mallory".into()),
        last_name: None,
        metadata: "{}".into(),
        password: "$argon2id$".into(),
        start: None,
    }))));
    match again {
        Ok(Reply::Registered(profile)) => assert_eq!(profile.id, user(2)),
        other => panic!("it tells: {other:?}"),
    }
    assert_eq!(world.records, before);
}
