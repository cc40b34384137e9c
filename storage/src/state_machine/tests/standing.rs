//! What was shown holds only while its user stands as they stood then; and whoever is put out of an
//! account leaves nothing in it.

use super::erasure::{account, sealed, secret};
use super::{POLICY, TENANT, World, begin, email, signed_in, token, user};
use crate::capability::mfa::{self, Answer, Enable, Enroll, Proof};
use crate::capability::oauth::{self, Account, Arrive, LinkByCode, Redeem, Then, Unlink};
use crate::capability::passkeys::{self, Passkey};
use crate::capability::passwords::{self, Set};
use crate::capability::sessions::{
    self, HandOver, HandOverTo, HandedOver, Revoke, RevokeOthers, Within,
};
use crate::capability::users::{Action, Actor, Amend, Changes, Manage, Update};
use crate::capability::{email_verification, magic_links, password_reset, phones, users};
use crate::command::{Command, Rejection, Reply};
use crate::ids::{CredentialId, MessageId, SessionId};
use crate::keys::{self, Kind};
use crate::one_time::Content;
use crate::pkce::{self, Challenge};

/// Of what waits for a user, what lets them in: a link, a first factor, a session that is handed over.
const WAYS_IN: [u8; 3] = [3, 9, HANDED_OVER];
const HANDED_OVER: u8 = 4;

/// What waits besides: a reset, a way through a provider and its end, two challenges.
const OTHERS: [u8; 5] = [1, 5, 6, 7, 8];

pub(super) fn session() -> SessionId {
    SessionId::new(1, 1)
}

pub(super) fn set_password(log_out_others: bool) -> Command {
    Command::Passwords(passwords::Command::Set(Box::new(Set {
        user: user(1),
        session: session(),
        verified: Some(1),
        password: "new".into(),
        log_out_others,
    })))
}

pub(super) fn reset() -> Command {
    let complete = password_reset::Complete { token: secret(1, 1), password: "new".into() };
    Command::PasswordReset(password_reset::Command::Complete(Box::new(complete)))
}

pub fn amend(change: impl FnOnce(&mut Amend)) -> Command {
    let mut amend = Amend {
        user: user(1),
        changes: Changes::default(),
        email: None,
        email_verified: None,
        phone_verified: None,
        password: None,
        by: Actor::Operator,
    };
    change(&mut amend);
    Command::Users(users::Command::Amend(Box::new(amend)))
}

fn manage(action: Action) -> Command {
    let by = Actor::Operator;
    Command::Users(users::Command::Manage(Manage { user: user(1), action, by }))
}

fn redeem(code: u8) -> Redeem {
    let entry =
        mfa::Entry { start: begin(8, token(8)), temp_token: secret(1, 32), temp_ttl_ms: 300_000 };
    Redeem { code: secret(1, code), entry }
}

/// Somebody brings the code of the session that is handed over.
fn take_over() -> Command {
    Command::Oauth(oauth::Command::Redeem(Box::new(redeem(HANDED_OVER))))
}

pub(super) fn disown() -> Command {
    let disown = email_verification::Disown { token: secret(1, 20) };
    Command::EmailVerification(email_verification::Command::Disown(disown))
}

/// The owner of the address arrives by a provider that has verified it.
pub(super) fn arrive() -> Command {
    let account = Account {
        subject: "the owner".into(),
        email: Some(email(1)),
        email_verified: true,
        ..account()
    };
    let then = Then::Leave(secret(1, 30));
    let arrive = Arrive { account, id: user(9), may_register: true, then };
    Command::Oauth(oauth::Command::Arrive(Box::new(arrive)))
}

fn passkey() -> Passkey {
    Passkey {
        id: CredentialId::new(1, 1),
        user: user(1),
        credential: vec![1; 32],
        name: "Passkey".into(),
        verifier: "{}".into(),
        counter: 0,
        backup_eligible: false,
        backed_up: false,
        transports: Vec::new(),
        created: super::START,
        last_used: None,
    }
}

pub(super) fn register_passkey() -> Command {
    let (challenge, passkey) = (secret(1, 7), passkey());
    let register = passkeys::Register { challenge, session: session(), passkey };
    Command::Passkeys(passkeys::Command::Register(Box::new(register)))
}

pub(super) fn link() -> Command {
    let link = LinkByCode { code: secret(1, 6), user: user(1), session: session() };
    Command::Oauth(oauth::Command::LinkByCode(link))
}

pub(super) fn enroll() -> Command {
    let enroll = Enroll { user: user(1), verified: Some(1), seed: sealed() };
    Command::Mfa(mfa::Command::Enroll(Box::new(enroll)))
}

pub(super) fn enable(time_step: u64) -> Command {
    Command::Mfa(mfa::Command::Enable(Box::new(Enable {
        user: user(1),
        session: session(),
        generation: 1,
        time_step: Some(time_step),
        backup_codes: Vec::new(),
        policy: POLICY,
    })))
}

impl World {
    fn waits(&self, number: u8) -> bool {
        self.view().one_time(&secret(1, number)).expect("no fault").is_some()
    }

    /// A user for whom everything waits, whose address nobody has verified.
    pub(super) fn unverified() -> Self {
        let mut world = Self::new();
        world.all_wait_for(1);
        let (user, email) = (user(1), email(1));
        let verification = email_verification::Verification { user, email };
        world.issue(secret(1, 20), Content::Verification(verification));
        world
    }

    pub(super) fn does(&mut self, command: Command) {
        let outcome = self.propose(command);
        assert!(outcome.is_ok(), "{outcome:?}");
    }

    pub(super) fn user_1(&self) -> users::User {
        self.view().user(user(1)).expect("no fault").expect("a user")
    }
}

#[test]
fn what_was_shown_outlives_no_change_of_what_it_stood_on() {
    let others = RevokeOthers { user: user(1), except: session() };
    let remove = passkeys::Remove { user: user(1), id: passkey().id };
    let unlink = Unlink { user: user(1), provider: "acme".into() };
    let nothing: fn(&mut World) = |_| {};
    let with_a_passkey: fn(&mut World) = |world| world.does(register_passkey());
    let suspended: fn(&mut World) = |world| world.does(manage(Action::Suspend));
    let with_a_link: fn(&mut World) = |world| world.does(link());
    let changes = [
        ("a password", nothing, set_password(true)),
        ("a password that ends no session", nothing, set_password(false)),
        ("a reset", nothing, reset()),
        ("another's password", nothing, amend(|amend| amend.password = Some("new".into()))),
        ("another address", nothing, amend(|amend| amend.email = Some(email(3)))),
        ("a suspension", suspended, manage(Action::Reactivate)),
        ("the end of all sessions", nothing, manage(Action::EndSessions)),
        ("that of the others", nothing, Command::Sessions(sessions::Command::RevokeOthers(others))),
        ("a passkey less", with_a_passkey, Command::Passkeys(passkeys::Command::Remove(remove))),
        ("a provider less", with_a_link, Command::Oauth(oauth::Command::Unlink(unlink))),
        ("a claim by a provider", nothing, arrive()),
        ("a word of the owner's", nothing, disown()),
    ];
    for (name, prepare, change) in changes {
        let mut world = World::unverified();
        prepare(&mut world);
        assert!(WAYS_IN.iter().all(|number| world.waits(*number)), "before {name}");
        world.does(change);
        let left: Vec<_> = WAYS_IN.into_iter().filter(|number| world.waits(*number)).collect();
        // What is left of a session that has ended says so.
        let is_over = world.view().session(user(1), session()).expect("no fault").is_none();
        let told =
            if is_over { Err(Rejection::SessionRevoked) } else { Err(Rejection::InvalidToken) };
        assert_eq!(left, if is_over { vec![HANDED_OVER] } else { vec![] }, "after {name}");
        assert_eq!(world.propose(take_over()), told, "after {name}");
        assert!(OTHERS.iter().all(|number| world.waits(*number)), "after {name}");
    }
    let mut world = World::unverified();
    let update = Update { user: user(1), changes: Changes::default() };
    world.does(Command::Users(users::Command::Update(Box::new(update))));
    world.does(amend(|amend| amend.email_verified = Some(true)));
    world.does(manage(Action::Unlock));
    world.does(manage(Action::Reactivate));
    assert!(WAYS_IN.iter().all(|number| world.waits(*number)), "nothing that it stood on changed");
}

#[test]
fn a_session_whose_code_is_shown_in_vain_is_nobody_s_and_ends() {
    let mut world = World::unverified();
    let proof = pkce::Proof::Verifier(Challenge([1; 32]));
    let prove = oauth::Prove { redeem: redeem(HANDED_OVER), proof };
    let prove = Command::Oauth(oauth::Command::Prove(Box::new(prove)));
    assert_eq!(world.propose(prove), Ok(Reply::WrongGuess));
    assert_eq!((world.count(Kind::Session), world.user_1().sessions), (0, 0));
    assert_eq!(world.refresh(1, 40), Err(Rejection::SessionRevoked));
    assert_eq!(world.propose(take_over()), Err(Rejection::TokenUsed));
    let events = world.events();
    assert!(["session.revoked", "auth.login_failed"].iter().all(|kind| events.contains(kind)));
}

#[test]
fn a_session_is_taken_over_by_one_code_alone() {
    let mut world = World::unverified();
    let left = HandedOver { user: user(1), session: session() };
    world.issue(secret(1, 41), Content::HandedOver(left));
    world.does(take_over());
    let proof = pkce::Proof::Verifier(Challenge([1; 32]));
    let prove = oauth::Command::Prove(Box::new(oauth::Prove { redeem: redeem(41), proof }));
    assert_eq!(world.propose(Command::Oauth(prove)), Err(Rejection::InvalidToken));
    assert_eq!(world.count(Kind::Session), 1, "whoever has it keeps it");
}

#[test]
fn a_session_that_was_taken_over_is_not_its_page_s_to_give_away_again() {
    let mut world = World::unverified();
    let left = |code| HandOver { user: user(1), session: session(), code: secret(1, code) };
    let again = |code| Command::Sessions(sessions::Command::HandOver(left(code)));
    world.does(again(41));
    world.does(take_over());
    let bound = HandOverTo { hand_over: left(43), challenge: Challenge([1; 32]) };
    let bound = Command::Sessions(sessions::Command::HandOverTo(bound));
    for command in [again(42), bound] {
        assert_eq!(world.propose(command), Err(Rejection::InvalidToken));
    }
}

#[test]
fn a_session_that_has_ended_sets_nothing_up() {
    let revoke = Revoke { user: user(1), session: session() };
    let within = |command| {
        let (user, session) = (user(1), session());
        Command::Within(Box::new(Within { user, session, command }))
    };
    let update = Update { user: user(1), changes: Changes::default() };
    let update = Command::Users(users::Command::Update(Box::new(update)));
    let leave = users::Leave { user: user(1), verified: Some(1) };
    let leave = Command::Users(users::Command::Leave(leave));
    let mut world = World::unverified();
    world.does(within(update.clone()));
    world.does(within(leave.clone()));
    let others = [within(update), within(leave), within(enroll())];
    for command in [set_password(true), register_passkey(), enable(100)].into_iter().chain(others) {
        let mut world = World::unverified();
        world.does(enroll());
        world.does(Command::Sessions(sessions::Command::Revoke(revoke.clone())));
        assert_eq!(world.propose(command), Err(Rejection::SessionRevoked));
    }
}

#[test]
fn a_number_that_is_given_up_takes_its_code_along() {
    let changes = || Changes { phone_number: Some(Some("+4967890".into())), ..Changes::default() };
    let update = Update { user: user(1), changes: changes() };
    let update = Command::Users(users::Command::Update(Box::new(update)));
    for command in [update, amend(|amend| amend.changes = changes())] {
        let mut world = left_behind();
        assert_eq!((world.count(Kind::PhoneCode), world.count(Kind::TextMessage)), (1, 1));
        world.does(command);
        assert_eq!((world.count(Kind::PhoneCode), world.count(Kind::TextMessage)), (0, 0));
        assert_eq!(world.count(Kind::PhoneSends), 2, "what was sent stays counted");
    }
}

/// Everything that somebody can leave in an account of another's address.
pub(super) fn left_behind() -> World {
    let mut world = World::unverified();
    let number = Some(Some("+4912345".into()));
    let changes = Changes {
        phone_number: number,
        first_name: Some(Some("Mallory".into())),
        ..Changes::default()
    };
    let update = Update { user: user(1), changes };
    world.does(Command::Users(users::Command::Update(Box::new(update))));
    let send = phones::Send {
        user: user(1),
        number: "+4912345".into(),
        code: [1; 32],
        ttl_ms: 600_000,
        allowance: phones::Allowance { most: 5, window_ms: 3_600_000 },
        message: MessageId::new(1, 1),
        content: sealed(),
    };
    world.does(Command::Phones(phones::Command::Send(Box::new(send))));
    world.does(register_passkey());
    world.does(link());
    world.does(enroll());
    world.does(enable(100));
    world
}

pub(super) fn follow() -> Command {
    let entry =
        mfa::Entry { start: begin(5, token(5)), temp_token: secret(1, 31), temp_ttl_ms: 300_000 };
    let arrival =
        magic_links::Arrival { token: secret(1, 3), new_user: user(9), may_sign_up: false };
    let follow = magic_links::Follow { arrival, entry };
    Command::MagicLinks(magic_links::Command::Follow(Box::new(follow)))
}

#[test]
fn nothing_that_a_stranger_has_left_outlives_the_coming_of_the_owner() {
    for owner_comes in [arrive(), reset(), follow(), disown()] {
        let mut world = left_behind();
        world.does(owner_comes.clone());
        let owner = world.user_1();
        let left = format!("{owner_comes:?}");
        assert!(owner.profile.email_verified, "{left}");
        assert!(owner.password.is_none_or(|password| password.phc == "new"), "{left}");
        assert_eq!((owner.profile.phone_number, owner.profile.phone_verified), (None, false));
        assert_eq!(owner.profile.first_name.as_deref(), Some("Mallory"), "what is shown stays");
        assert!(owner.devices.is_empty() && owner.sessions == 0, "{left}");
        for kind in [
            Kind::Session,
            Kind::Passkey,
            Kind::PasskeyByCredential,
            Kind::Identity,
            Kind::IdentityBySubject,
            Kind::PhoneCode,
            Kind::TextMessage,
        ] {
            assert_eq!(world.count(kind), 0, "{kind:?} after {left}");
        }
        assert!(!world.waits(9), "{left}");
        assert_eq!(world.propose(take_over()), Err(Rejection::SessionRevoked), "{left}");
        assert_eq!(world.refresh(1, 40), Err(Rejection::SessionRevoked));
    }
}

/// The owner, whom an app that a stranger has set up keeps out, with a mail to say so.
fn kept_out() -> World {
    let mut world = left_behind();
    let challenged = world.propose(follow());
    assert!(matches!(challenged, Ok(Reply::Challenged(_))), "the app is asked for: {challenged:?}");
    world
}

#[test]
fn an_owner_whom_a_stranger_s_app_keeps_out_takes_it_away() {
    let mut world = kept_out();
    assert!(world.user_1().profile.mfa_enabled);
    world.does(disown());
    assert!(!world.user_1().profile.mfa_enabled);
    assert_eq!((world.count(Kind::Mfa), world.count(Kind::Contest)), (0, 0));
    assert_eq!(world.propose(disown()), Err(Rejection::TokenUsed));
    assert!(world.events().contains(&"auth.mfa_disabled"));
}

#[test]
fn an_app_that_its_owner_has_shown_is_nobody_elses() {
    let mut world = kept_out();
    let answer = Answer {
        temp_token: secret(1, 31),
        user: user(1),
        proof: Proof::Totp { generation: 1, time_step: Some(101) },
        policy: POLICY,
        start: begin(6, token(6)),
    };
    signed_in(world.propose(Command::Mfa(mfa::Command::Answer(Box::new(answer)))));
    assert_eq!(world.propose(disown()), Err(Rejection::InvalidToken));
    assert!(world.user_1().profile.mfa_enabled);
}

#[test]
fn a_contest_ends_with_its_account() {
    let mut world = kept_out();
    world.does(manage(Action::Remove));
    assert_eq!(world.count(Kind::Contest), 0);
    let left = world.records.keys().filter(|key| {
        let kinds = [Kind::Events, Kind::AuditHead, Kind::Forgetting, Kind::MailQueue, Kind::Ended];
        let stays = kinds.into_iter().chain([Kind::RefreshToken, Kind::PhoneSends]);
        key.starts_with(&keys::all_of(TENANT))
            && !stays.into_iter().any(|kind| key.starts_with(&keys::range(TENANT, kind)))
    });
    assert_eq!(left.count(), 0, "a record of somebody who is gone is left");
}
