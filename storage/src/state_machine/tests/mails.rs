//! The outbox, and what mails carry: tokens that are good once, for one address, for a while.

use std::time::Duration;

use super::{TENANT, World, begin, email, signed_in, token, user};
use crate::capability::limits::{Bucket, Limit};
use crate::capability::mfa::Entry;
use crate::capability::sessions::Start;
use crate::capability::users::{Delete, Register, User};
use crate::capability::{email_verification, magic_links, password_reset, users};
use crate::command::{Command, Outcome, Rejection, Reply};
use crate::ids::{MagicLinkId, MailId, UserId};
use crate::keys::{self, Kind};
use crate::outbox::{self, Letter, MOST_KEPT, MOST_WAITING, Mailing, Queue};
use crate::seal::Key;
use crate::secret::SecretHash;
use crate::sweep;

const HOUR: Duration = Duration::from_secs(3600);

fn letter(number: u16, kept: bool) -> Letter {
    let sealed = Key::new([1; 32]).seal([0; 12], b"", b"letter").expect("sealing");
    Letter { id: MailId::new(number.into(), number.into()), sealed, ttl_ms: 3_600_000, kept }
}

fn secret(number: u16) -> SecretHash {
    let mut hash = [0xee; 32];
    hash[..2].copy_from_slice(&number.to_be_bytes());
    SecretHash(hash)
}

fn mailing(number: u16) -> Mailing {
    Mailing { token: secret(number), letter: letter(number, false) }
}

fn limit(bucket: Bucket, count: u32) -> Limit {
    Limit { bucket, count, window: HOUR }
}

fn register(number: u8, start: Option<Start>, mail: u16) -> Command {
    let register = Register {
        id: user(number),
        email: email(1),
        first_name: None,
        last_name: None,
        metadata: "{}".into(),
        password: "$argon2id$".into(),
        start,
    };
    let register = email_verification::Register {
        register,
        verification: mailing(mail),
        notice: letter(mail + 1, false),
        limit: limit(Bucket::Registration, 3),
    };
    Command::EmailVerification(email_verification::Command::Register(Box::new(register)))
}

fn confirm(number: u16) -> Command {
    confirm_as(None, number)
}

fn confirm_as(user: Option<UserId>, number: u16) -> Command {
    let confirm = email_verification::Confirm { token: secret(number), user };
    Command::EmailVerification(email_verification::Command::Confirm(confirm))
}

fn forgot(address: String, number: u16) -> Command {
    let (mailing, limit) = (mailing(number), limit(Bucket::PasswordReset, 3));
    let request = password_reset::Request { email: address, mailing, limit };
    Command::PasswordReset(password_reset::Command::Request(Box::new(request)))
}

fn reset(number: u16) -> Command {
    let complete = password_reset::Complete { token: secret(number), password: "new".into() };
    Command::PasswordReset(password_reset::Command::Complete(Box::new(complete)))
}

fn send_link(address: String, number: u16, may_sign_up: bool) -> Command {
    let send = magic_links::Send {
        id: MagicLinkId::new(1, number.into()),
        email: address,
        redirect_url: None,
        may_sign_up,
        mailing: mailing(number),
        limit: limit(Bucket::MagicLink, 0),
    };
    Command::MagicLinks(magic_links::Command::Send(Box::new(send)))
}

fn follow(number: u16, session: u8, may_sign_up: bool) -> Command {
    let temp_token = SecretHash([0xdd; 32]);
    let entry = Entry { start: begin(session, token(session)), temp_token, temp_ttl_ms: 1000 };
    let arrival =
        magic_links::Arrival { token: secret(number), new_user: user(session), may_sign_up };
    let follow = magic_links::Follow { arrival, entry };
    Command::MagicLinks(magic_links::Command::Follow(Box::new(follow)))
}

impl World {
    fn waiting(&self) -> usize {
        self.view().mails(false).expect("no fault").len()
    }

    fn known_user(&self) -> User {
        self.view().user_by_email(&email(1)).expect("no fault").expect("an account")
    }

    fn registers(&mut self) {
        signed_in(self.propose(register(1, Some(begin(1, token(1))), 1)));
    }

    fn verified(&mut self) {
        self.registers();
        assert_eq!(self.propose(confirm_as(Some(user(1)), 1)), Ok(Reply::Done));
    }
}

fn level(outcome: Outcome) -> u32 {
    match outcome {
        Ok(Reply::Mailed(mailed)) => mailed.level.expect("a limit").remaining,
        other => panic!("no mail: {other:?}"),
    }
}

#[test]
fn a_token_verifies_its_address_once_and_only_in_time() {
    let mut world = World::new();
    world.registers();
    assert_eq!(world.waiting(), 1);
    assert_eq!(world.propose(confirm(7)), Err(Rejection::InvalidToken));
    let mut late = World { records: world.records.clone(), ..World::new() };
    late.pass(HOUR);
    assert_eq!(late.propose(confirm(1)), Err(Rejection::InvalidToken));
    assert_eq!(world.propose(confirm(1)), Ok(Reply::Done));
    assert!(world.known_user().profile.email_verified);
    assert_eq!(world.propose(confirm(1)), Err(Rejection::TokenUsed));
    assert!(world.events().contains(&"user.email_verified"));
}

#[test]
fn a_token_of_one_kind_is_none_of_another() {
    let mut world = World::new();
    world.registers();
    level(world.propose(forgot(email(1), 10)));
    assert!(world.propose(send_link(email(1), 20, false)).is_ok());
    for command in [reset(1), reset(20), confirm(10), confirm(20), follow(1, 5, true)] {
        assert_eq!(world.propose(command), Err(Rejection::InvalidToken));
    }
}

#[test]
fn who_asks_for_a_reset_learns_nothing_of_the_account() {
    let mut world = World::new();
    world.registers();
    let mut stranger = World { records: world.records.clone(), ..World::new() };
    for (left, number) in [(2, 10), (1, 11), (0, 12)] {
        let known = world.propose(forgot(email(1), number));
        assert_eq!(known, stranger.propose(forgot(email(9), number)));
        assert_eq!(level(known), left);
    }
    let refused = Err(Rejection::LimitReached { until: world.now.after(HOUR / 3) });
    assert_eq!(world.propose(forgot(email(1), 13)), refused);
    assert_eq!(stranger.propose(forgot(email(9), 13)), refused);
    assert_eq!((world.waiting(), stranger.waiting()), (4, 1));
    world.pass(HOUR / 3);
    assert_eq!(level(world.propose(forgot(email(1), 13))), 0, "one has come back");
}

#[test]
fn a_reset_ends_every_session_and_every_older_token() {
    let mut world = World::new();
    world.verified();
    for number in [10, 11] {
        level(world.propose(forgot(email(1), number)));
    }
    assert!(world.propose(send_link(email(1), 20, false)).is_ok());
    for _ in 0..5 {
        assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    }
    assert_eq!(world.propose(reset(10)), Ok(Reply::Count(1)));
    assert_eq!(world.refresh(1, 30), Err(Rejection::SessionRevoked));
    assert_eq!(world.known_user().password.expect("a password").generation, 2);
    assert_eq!(world.view().lockout(&email(1)).expect("no fault"), None, "it unlocks");
    assert_eq!(world.propose(reset(10)), Err(Rejection::TokenUsed));
    assert_eq!(world.propose(reset(11)), Err(Rejection::InvalidToken));
    assert_eq!(world.propose(follow(20, 5, false)), Err(Rejection::InvalidToken));
    assert!(world.events().contains(&"auth.password_reset"));
}

#[test]
fn who_registered_another_s_address_is_out_once_its_owner_comes() {
    for command in [reset(10), follow(20, 5, false)] {
        let mut world = World::new();
        world.registers();
        level(world.propose(forgot(email(1), 10)));
        assert!(world.propose(send_link(email(1), 20, false)).is_ok());
        assert!(world.propose(command).is_ok());
        let owner = world.known_user();
        assert!(owner.profile.email_verified);
        assert!(owner.password.is_none_or(|password| password.phc == "new"));
        assert_eq!(world.refresh(1, 30), Err(Rejection::SessionRevoked));
    }
}

#[test]
fn a_generation_never_comes_twice() {
    let mut world = World::new();
    world.registers();
    level(world.propose(forgot(email(1), 10)));
    assert!(world.propose(send_link(email(1), 20, false)).is_ok());
    signed_in(world.propose(follow(20, 5, false)));
    assert_eq!(world.known_user().generation(), 0, "the unverified password is gone");
    level(world.propose(forgot(email(1), 11)));
    assert_eq!(world.propose(reset(11)), Ok(Reply::Count(1)));
    assert!(world.known_user().generation() > 1);
    assert_eq!(world.propose(reset(10)), Err(Rejection::InvalidToken));
}

#[test]
fn a_link_makes_an_account_only_where_it_may_when_it_is_sent_and_when_it_is_followed() {
    let mut world = World::new();
    assert!(world.propose(send_link(email(1), 20, false)).is_ok());
    assert_eq!(world.waiting(), 0);
    assert_eq!(world.propose(follow(20, 5, true)), Err(Rejection::InvalidToken));
    assert!(world.propose(send_link(email(1), 21, true)).is_ok());
    assert_eq!(world.waiting(), 1);
    assert_eq!(world.propose(follow(21, 5, false)), Err(Rejection::InvalidToken));
    let newcomer = signed_in(world.propose(follow(21, 5, true))).profile;
    assert!(newcomer.email_verified);
    assert_eq!(world.known_user().password, None);
    assert_eq!(world.propose(follow(21, 6, true)), Err(Rejection::TokenUsed));
}

#[test]
fn a_hidden_registration_writes_to_the_owner_of_the_account_but_not_for_ever() {
    let mut world = World::new();
    world.registers();
    for (number, mails) in [(10, 2), (20, 3), (30, 3), (40, 3)] {
        let again = world.propose(register(2, None, number));
        assert!(matches!(again, Ok(Reply::Registered(_))), "{again:?}");
        assert_eq!(world.waiting(), mails);
    }
    assert_eq!(world.propose(confirm(10)), Err(Rejection::InvalidToken), "it brings no token");
}

#[test]
fn a_deleted_account_takes_its_tokens_along() {
    let mut world = World::new();
    world.registers();
    level(world.propose(forgot(email(1), 10)));
    let delete = Delete { user: user(1), verified: 1 };
    assert_eq!(world.propose(Command::Users(users::Command::Delete(delete))), Ok(Reply::Done));
    signed_in(world.propose(register(2, Some(begin(2, token(2))), 5)));
    assert_eq!(world.propose(reset(10)), Err(Rejection::InvalidToken));
    assert_eq!(world.propose(confirm(1)), Err(Rejection::InvalidToken));
}

#[test]
fn what_was_sent_or_has_expired_leaves_the_outbox() {
    let mut world = World::new();
    world.registers();
    level(world.propose(forgot(email(1), 10)));
    let queue = |world: &World| {
        let key = keys::single(TENANT, Kind::MailQueue);
        crate::codec::decode::<Queue>(&world.records[&key]).expect("a queue")
    };
    assert_eq!(queue(&world), Queue { waiting: 2, kept: 0 });
    let sent = |id| Command::Outbox(outbox::Command::Remove(vec![MailId::new(id, id.into())]));
    assert_eq!(world.propose(sent(1)), Ok(Reply::Count(1)));
    assert_eq!(world.propose(sent(1)), Ok(Reply::Count(0)));
    assert_eq!(queue(&world), Queue { waiting: 1, kept: 0 });
    world.pass(HOUR);
    let keys = world.expired();
    let swept = world.propose(Command::Sweep(sweep::Command { keys }));
    assert!(matches!(swept, Ok(Reply::Count(1..))), "{swept:?}");
    assert_eq!((queue(&world), world.waiting()), (Queue::default(), 0));
    let counters = keys::range(TENANT, Kind::Counter);
    assert!(!world.records.keys().any(|key| key.starts_with(&counters)), "full buckets are left");
}

#[test]
fn a_full_outbox_refuses_everybody_alike_and_no_account() {
    let mut world = World::new();
    world.verified();
    let full = Queue { waiting: MOST_WAITING, kept: 0 };
    let full = crate::codec::encode(&full).expect("it encodes");
    world.records.insert(keys::single(TENANT, Kind::MailQueue), full);
    assert_eq!(world.propose(forgot(email(1), 10)), Err(Rejection::OutboxFull));
    assert_eq!(world.propose(forgot(email(9), 10)), Err(Rejection::OutboxFull));
    assert_eq!(world.propose(send_link(email(9), 10, false)), Err(Rejection::OutboxFull));
    let delete = Delete { user: user(1), verified: 1 };
    assert_eq!(world.propose(Command::Users(users::Command::Delete(delete))), Ok(Reply::Done));
    signed_in(world.propose(register(2, Some(begin(2, token(2))), 5)));
}

#[test]
fn the_oldest_kept_mail_makes_room() {
    let mut world = World::new();
    for number in 0..MOST_KEPT as u16 + 2 {
        let request = password_reset::Request {
            email: email(1),
            mailing: Mailing { token: secret(number), letter: letter(number, true) },
            limit: limit(Bucket::PasswordReset, 0),
        };
        let command = password_reset::Command::Request(Box::new(request));
        if number == 0 {
            signed_in(world.register(1));
        }
        assert!(world.propose(Command::PasswordReset(command)).is_ok());
    }
    let kept = world.view().mails(true).expect("no fault");
    assert_eq!((kept.len(), kept[0].id), (MOST_KEPT as usize, MailId::new(2, 2)));
}
