//! What waits for somebody goes with them: mails, tokens, codes, challenges, and what tells of them.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{START, TENANT, World, email, signed_in, user};
use crate::capability::limits::{Bucket, Limit};
use crate::capability::mfa::{Pending, PendingDevice};
use crate::capability::oauth::{self, Account, Begin, Flow, Linking, Offer, Purpose};
use crate::capability::passkeys::{self, Aim, Ceremony, Whose};
use crate::capability::sessions::{self, HandOver, Method};
use crate::capability::users::{
    Action, Actor, Amend, Changes, Delete, Forget, Manage, Register, Update,
};
use crate::capability::{magic_links, password_reset, users};
use crate::command::{Command, Outcome, Rejection, Reply};
use crate::idempotency::Ticket;
use crate::ids::{MagicLinkId, MailId, SessionId};
use crate::keys::{self, Kind};
use crate::one_time::{Content, OneTime};
use crate::outbox::{self, Letter, Mailing, Queue};
use crate::records::Records;
use crate::seal::{Key, Sealed};
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::sweep;
use crate::transaction::Transaction;

const HOUR: Duration = Duration::from_secs(3600);

pub fn sealed() -> Sealed {
    Key::new([1; 32]).seal([0; 12], b"", b"sealed").expect("sealing")
}

/// A secret of the user with this number.
pub fn secret(user: u8, number: u8) -> SecretHash {
    let mut hash = [0xee; 32];
    hash[..2].copy_from_slice(&[user, number]);
    SecretHash(hash)
}

fn mailing(user: u8, number: u8, kept: bool) -> Mailing {
    let id = MailId::new(u64::from(user), (u128::from(user) << 8) + u128::from(number));
    let letter = Letter { id, sealed: sealed(), ttl_ms: 3_600_000, kept };
    Mailing { token: secret(user, number), letter }
}

fn limit(bucket: Bucket) -> Limit {
    Limit { bucket, count: 0, window: HOUR }
}

fn forgot(number: u8, kept: bool) -> Command {
    let request = password_reset::Request {
        email: email(number),
        mailing: mailing(number, 1 + u8::from(kept), kept),
        limit: limit(Bucket::PasswordReset),
    };
    Command::PasswordReset(password_reset::Command::Request(Box::new(request)))
}

fn send_link(number: u8) -> Command {
    let send = magic_links::Send {
        id: MagicLinkId::new(1, number.into()),
        email: email(number),
        redirect_url: None,
        may_sign_up: true,
        mailing: mailing(number, 3, false),
        limit: limit(Bucket::MagicLink),
    };
    Command::MagicLinks(magic_links::Command::Send(Box::new(send)))
}

fn challenge(number: u8, aim: Aim, nth: u8) -> Command {
    let ceremony = Ceremony { aim, state: sealed() };
    let begin = passkeys::Begin { challenge: secret(number, nth), ceremony };
    Command::Passkeys(passkeys::Command::Begin(Box::new(begin)))
}

pub fn account() -> Account {
    Account {
        provider: "acme".into(),
        issuer: "https://acme.example".into(),
        subject: "subject-1".into(),
        email: None,
        email_verified: false,
        first_name: Some("Alice".into()),
        last_name: None,
        avatar: None,
    }
}

/// Everything that can wait for the user with this number, who has one session.
fn whatever_waits(number: u8) -> Vec<Command> {
    let (id, session) = (user(number), SessionId::new(number.into(), number.into()));
    let flow = Flow {
        provider: "acme".into(),
        issuer: "https://acme.example".into(),
        secrets: sealed(),
        redirect_uri: String::new(),
        return_to: String::new(),
        page_state: None,
        browser: secret(number, 0),
        purpose: Purpose::Link { user: id, session },
        claim: None,
    };
    let linking = Linking { user: id, session, account: account() };
    let hand_over = HandOver { user: id, session, code: secret(number, 4) };
    let flow = Begin { state: secret(number, 5), flow };
    let offer = Offer { linking, code: secret(number, 6) };
    vec![
        forgot(number, false),
        forgot(number, true),
        send_link(number),
        Command::Sessions(sessions::Command::HandOver(hand_over)),
        Command::Oauth(oauth::Command::Begin(Box::new(flow))),
        Command::Oauth(oauth::Command::Offer(Box::new(offer))),
        challenge(number, Aim::Register { user: id, session }, 7),
        challenge(number, Aim::LogIn(Whose::User(id)), 8),
    ]
}

impl World {
    /// Issues what no command issues by itself.
    pub fn issue(&mut self, hash: SecretHash, content: Content) {
        let mut transaction = Transaction::new(&self.records);
        let mut step =
            Step { transaction: &mut transaction, tenant: TENANT, now: self.now, drafts: vec![] };
        OneTime::issue(&mut step, &hash, content, 3_600_000).expect("it is issued");
        transaction.accept();
        for (key, value) in transaction.finish().writes {
            match value {
                Some(value) => drop(self.records.insert(key, value)),
                None => drop(self.records.remove(&key)),
            }
        }
    }

    pub fn all_wait_for(&mut self, number: u8) {
        signed_in(self.register(number));
        for command in whatever_waits(number) {
            self.propose(command).expect("it is taken");
        }
        let (id, first) = (user(number), Method::Password);
        let pending = Pending { user: id, first, guesses: 0, password: Some(1) };
        let pending = PendingDevice { pending, fingerprint: [0; 16], user_agent: None };
        self.issue(secret(number, 9), Content::PendingDevice(pending));
    }

    /// How many records there are of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        let mut count = 0;
        let read = self.records.scan(&keys::range(TENANT, kind), None, &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        });
        read.expect("no fault");
        count
    }

    fn counts(&self) -> [usize; 3] {
        [Kind::OneTime, Kind::Mail, Kind::Trace].map(|kind| self.count(kind))
    }

    /// The outcome of a request with this key, which is kept for a day.
    fn keyed(&mut self, digest: [u8; 32], ask: impl Fn(&mut Self) -> Outcome) -> Outcome {
        let expires = START.after(24 * HOUR);
        self.ticket = Some(Ticket { digest, request: [1; 32], secrets: Some(sealed()), expires });
        let outcome = ask(self);
        self.ticket = None;
        outcome
    }

    /// Whether any record but those of the audit log and of its search tells this text.
    fn tells(&self, text: &str) -> bool {
        let apart = [Kind::Events, Kind::Forgetting].map(|kind| keys::range(TENANT, kind));
        let mut records = self.records.iter();
        records.any(|(key, value)| {
            !apart.iter().any(|range| key.starts_with(range))
                && value.windows(text.len()).any(|part| part == text.as_bytes())
        })
    }

    fn queue(&self) -> Queue {
        let key = keys::single(TENANT, Kind::MailQueue);
        crate::codec::decode(&self.records[&key]).expect("a queue")
    }
}

#[test]
fn whatever_waits_for_somebody_goes_in_the_entry_that_ends_their_account() {
    let leaves = Command::Users(users::Command::Delete(Delete { user: user(1), verified: 1 }));
    let (action, by) = (Action::Remove, Actor::Operator);
    let removed = Command::Users(users::Command::Manage(Manage { user: user(1), action, by }));
    for gone in [leaves, removed] {
        let mut world = World::new();
        world.all_wait_for(1);
        let of_one = world.counts();
        assert_eq!(of_one, [9, 3, 12]);
        world.all_wait_for(2);
        assert_eq!(world.queue(), Queue { waiting: 4, kept: 2 });
        assert_eq!(world.propose(gone), Ok(Reply::Done));
        assert_eq!(world.counts(), of_one, "what waits for somebody else stays, and nothing more");
        assert_eq!(world.queue(), Queue { waiting: 2, kept: 1 });
        assert_eq!(world.view().mails(false).expect("mails").len(), 2);
    }
}

#[test]
fn a_mail_to_an_address_that_is_given_up_is_not_sent() {
    let mut world = World::new();
    world.all_wait_for(1);
    world.all_wait_for(2);
    let amend = Amend {
        user: user(1),
        changes: Changes::default(),
        email: Some(email(3)),
        email_verified: None,
        phone_verified: None,
        password: None,
        by: Actor::Operator,
    };
    let amend = Command::Users(users::Command::Amend(Box::new(amend)));
    assert!(matches!(world.propose(amend), Ok(Reply::Managed(_))));
    assert_eq!(world.queue(), Queue { waiting: 2, kept: 1 });
    let left = world.view().mails(false).expect("mails").into_iter().map(|mail| mail.id);
    let theirs = [mailing(2, 1, false).letter.id, mailing(2, 3, false).letter.id];
    assert_eq!(left.collect::<Vec<_>>(), theirs, "somebody else's stay");
}

#[test]
fn a_trace_is_swept_with_what_it_tells_of() {
    let mut world = World::new();
    world.all_wait_for(1);
    let sent = outbox::Command::Remove(vec![mailing(1, 1, false).letter.id]);
    assert_eq!(world.propose(Command::Outbox(sent)), Ok(Reply::Count(1)));
    world.pass(HOUR * 24 * 7);
    let keys = world.expired();
    world.propose(Command::Sweep(sweep::Command { keys })).expect("it is swept");
    assert_eq!(world.counts(), [0, 0, 0]);
}

fn leaves(number: u8) -> Command {
    Command::Users(users::Command::Delete(Delete { user: user(number), verified: 1 }))
}

fn recorded(outcome: Outcome) -> (Outcome, Option<Sealed>) {
    match outcome {
        Ok(Reply::Recorded(recorded)) => (recorded.outcome, recorded.secrets),
        other => panic!("not recorded: {other:?}"),
    }
}

#[test]
fn what_was_answered_about_somebody_is_taken_back_in_the_entry_that_ends_their_account() {
    let mut world = World::new();
    for number in [1, 2] {
        signed_in(world.keyed([number; 32], |world| world.register(number)));
    }
    assert_eq!(world.propose(leaves(1)), Ok(Reply::Done));
    let again = recorded(world.keyed([1; 32], |world| world.register(1)));
    assert_eq!(again, (Err(Rejection::NotFound), None), "neither shown nor made anew");
    assert!(!world.tells(&email(1)));
    assert_eq!(world.view().user_by_email(&email(1)).expect("no fault"), None);
    let (other, secrets) = recorded(world.keyed([2; 32], |world| world.register(2)));
    assert!(matches!(other, Ok(Reply::SignedIn(_))) && secrets.is_some(), "{other:?}");
    world.pass(24 * HOUR);
    let keys = world.expired();
    world.propose(Command::Sweep(sweep::Command { keys })).expect("it is swept");
    assert_eq!((world.count(Kind::Idempotency), world.count(Kind::Answered)), (0, 0));
}

#[test]
fn what_was_answered_where_accounts_are_hidden_is_taken_back_as_well() {
    let mut world = World::new();
    signed_in(world.register(1));
    let hidden = Register {
        id: user(9),
        email: email(1),
        first_name: None,
        last_name: None,
        metadata: "{}".into(),
        password: "$argon2id$".into(),
        start: None,
    };
    let hidden = Command::Users(users::Command::Register(Box::new(hidden)));
    let answered = world.keyed([9; 32], |world| world.propose(hidden.clone()));
    assert!(matches!(answered, Ok(Reply::Registered(_))), "{answered:?}");
    assert_eq!(world.propose(leaves(1)), Ok(Reply::Done));
    let again = recorded(world.keyed([9; 32], |world| world.propose(hidden.clone())));
    assert_eq!(again, (Err(Rejection::NotFound), None));
    assert!(!world.tells(&email(1)));
}

#[test]
fn a_great_many_answers_are_taken_back_step_by_step() {
    let mut world = World::new();
    signed_in(world.register(1));
    for number in 0..250_u8 {
        let update = Update { user: user(1), changes: Changes::default() };
        let update = Command::Users(users::Command::Update(Box::new(update)));
        let outcome = world.keyed([number; 32], |world| world.propose(update.clone()));
        assert!(matches!(outcome, Ok(Reply::Profile(_))));
    }
    assert_eq!(world.propose(leaves(1)), Ok(Reply::Done));
    let mut steps = 0;
    loop {
        let found = world.view().forgettings().expect("no fault").into_iter().next();
        let Some(forgetting) = found else { break };
        steps += 1;
        let (from, next) = (forgetting.next, forgetting.last + 1);
        let forget = Forget { user: user(1), from, found: Vec::new(), next };
        world.propose(Command::Users(users::Command::Forget(forget))).expect("a step");
    }
    assert_eq!(steps, 2, "a hundred a step, the first hundred with the account");
    assert!(!world.tells(&email(1)));
    assert_eq!((world.count(Kind::Idempotency), world.count(Kind::Answered)), (250, 0));
}

#[test]
fn an_answer_about_somebody_else_stays_though_its_key_once_told_of_who_is_gone() {
    let mut world = World::new();
    signed_in(world.keyed([1; 32], |world| world.register(1)));
    // The sweeper has not come by yet.
    world.pass(24 * HOUR);
    let expires = world.now.after(HOUR);
    world.ticket = Some(Ticket { digest: [1; 32], request: [1; 32], secrets: None, expires });
    let second = world.register(2);
    world.ticket = None;
    assert_eq!(world.propose(leaves(1)), Ok(Reply::Done));
    world.ticket = Some(Ticket { digest: [1; 32], request: [1; 32], secrets: None, expires });
    assert_eq!(recorded(world.register(2)), (second, None));
}
