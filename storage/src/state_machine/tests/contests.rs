//! Whose an account is: a stranger who registers another's address, its owner who comes by whichever way
//! and in whichever order, and somebody who is both.

use std::time::Duration;

use super::erasure::{account, secret};
use super::standing::{
    amend, arrive, disown, enable, enroll, follow, left_behind, link, register_passkey, reset,
    session, set_password,
};
use super::{POLICY, TENANT, World, begin, email, signed_in, token, user};
use crate::capability::email_verification::{self, CONFIRMED_FOR, Confirm, Contest, Verification};
use crate::capability::mfa::{self, Answer, Disable, Entry, Proof, StepUp};
use crate::capability::oauth::{self, Link, Linking};
use crate::capability::passwords::{self, Enter};
use crate::command::{Command, Rejection, Reply};
use crate::ids::UserId;
use crate::keys::{self, Kind};
use crate::one_time::Content;
use crate::secret::SecretHash;
use crate::sweep;

/// The token of the mail that a registration sends, and that of one that is asked for later.
const FIRST: u8 = 20;
const LATER: u8 = 21;
/// That of another one.
const NEXT: u8 = 23;

fn confirm(number: u8, own: Option<UserId>) -> Command {
    let confirm = Confirm { token: secret(1, number), user: own };
    Command::EmailVerification(email_verification::Command::Confirm(confirm))
}

fn disown_later() -> Command {
    let disown = email_verification::Disown { token: secret(1, LATER) };
    Command::EmailVerification(email_verification::Command::Disown(disown))
}

fn totp(time_step: u64) -> Proof {
    Proof::Totp { generation: 1, time_step: Some(time_step) }
}

fn show_password(temp_token: SecretHash) -> Command {
    let entry = Entry { start: begin(6, token(6)), temp_token, temp_ttl_ms: 300_000 };
    let enter = Enter { user: user(1), verified: 1, rehashed: None, entry };
    Command::Passwords(passwords::Command::Enter(Box::new(enter)))
}

fn answer(temp_token: SecretHash, time_step: u64) -> Command {
    let (start, proof) = (begin(6, token(6)), totp(time_step));
    let answer = Answer { temp_token, user: user(1), proof, policy: POLICY, start };
    Command::Mfa(mfa::Command::Answer(Box::new(answer)))
}

fn step_up(time_step: u64) -> Command {
    let step_up =
        StepUp { user: user(1), session: session(), proof: totp(time_step), policy: POLICY };
    Command::Mfa(mfa::Command::StepUp(Box::new(step_up)))
}

fn disable(time_step: u64) -> Command {
    let (proof, policy) = (totp(time_step), POLICY);
    let disable = Disable { user: user(1), verified: Some(1), proof, policy };
    Command::Mfa(mfa::Command::Disable(Box::new(disable)))
}

/// Whoever is signed in links a provider that has verified the address of the account.
fn link_the_mailbox() -> Command {
    let account = oauth::Account { email: Some(email(1)), email_verified: true, ..account() };
    let link = Link { linking: Linking { user: user(1), session: session(), account } };
    Command::Oauth(oauth::Command::Link(Box::new(link)))
}

impl World {
    fn mails_a_token(&mut self) {
        let (user, email) = (user(1), email(1));
        self.issue(secret(1, LATER), Content::Verification(Verification { user, email }));
    }

    fn contest(&self) -> Option<Contest> {
        self.view().contest(user(1), self.now).expect("no fault")
    }

    fn is_confirmed_by_mail_alone(&self) -> bool {
        matches!(self.contest(), Some(Contest::Confirmed { .. }))
    }

    /// The owner has no idea, and confirms what the first mail asks to confirm. Time goes on.
    fn is_confirmed_in_all_innocence(&mut self) {
        self.does(confirm(FIRST, None));
        assert!(self.user_1().profile.email_verified && self.is_confirmed_by_mail_alone());
        self.pass(Duration::from_secs(10));
    }

    fn has_nothing_of_a_stranger_s(&self) {
        let left = [Kind::Session, Kind::Passkey, Kind::PasskeyByCredential, Kind::Identity];
        let left = left.into_iter().chain([Kind::IdentityBySubject, Kind::PhoneCode]);
        left.for_each(|kind| assert_eq!(self.count(kind), 0, "{kind:?}"));
    }
}

#[test]
fn whatever_a_stranger_does_after_the_address_was_confirmed_its_owner_takes_away() {
    let acts: [(&str, Vec<Command>); 5] = [
        ("nothing", vec![]),
        ("a new password", vec![set_password(true)]),
        ("a passkey", vec![register_passkey()]),
        ("a provider", vec![link()]),
        ("an app", vec![enroll(), enable(100)]),
    ];
    for (act, commands) in acts {
        let mut world = World::unverified();
        world.is_confirmed_in_all_innocence();
        commands.into_iter().for_each(|command| world.does(command));
        world.mails_a_token();
        world.does(disown_later());
        let account = world.user_1();
        assert_eq!(account.password, None, "after {act}");
        assert!(!account.profile.mfa_enabled, "after {act}");
        assert!(account.profile.email_verified, "after {act}");
        world.has_nothing_of_a_stranger_s();
        assert_eq!((world.contest(), world.count(Kind::Mfa)), (None, 0), "after {act}");
        assert_eq!(world.refresh(1, 40), Err(Rejection::SessionRevoked), "after {act}");
    }
}

#[test]
fn a_stranger_who_shows_their_own_app_settles_nothing() {
    let mut world = World::unverified();
    world.does(enroll());
    world.does(enable(100));
    world.is_confirmed_in_all_innocence();
    let challenged = world.propose(show_password(secret(1, 40)));
    assert!(matches!(challenged, Ok(Reply::Challenged(_))), "{challenged:?}");
    signed_in(world.propose(answer(secret(1, 40), 101)));
    assert!(world.is_confirmed_by_mail_alone(), "after a login");
    world.does(step_up(102));
    assert!(world.is_confirmed_by_mail_alone(), "after a step-up");
    world.does(disable(103));
    assert!(world.is_confirmed_by_mail_alone(), "after the end of the app");
}

#[test]
fn who_comes_by_mail_after_having_confirmed_loses_nothing_and_may_still_disown_it() {
    for owner_comes in [reset(), follow()] {
        let mut world = left_behind();
        world.is_confirmed_in_all_innocence();
        world.does(owner_comes.clone());
        let came = format!("{owner_comes:?}");
        assert!(world.is_confirmed_by_mail_alone(), "{came}");
        let account = world.user_1();
        assert!(account.password.is_some() && account.profile.mfa_enabled, "{came}");
        assert_eq!((world.count(Kind::Passkey), world.count(Kind::Identity)), (1, 1), "{came}");
        world.mails_a_token();
        world.does(disown_later());
        let after = world.user_1();
        assert_eq!((after.password, after.profile.mfa_enabled), (None, false), "{came}");
        assert_eq!(world.contest(), None, "{came}");
        world.has_nothing_of_a_stranger_s();
    }
}

#[test]
fn a_provider_lets_its_user_into_a_confirmed_account_and_settles_nothing() {
    let mut world = World::unverified();
    world.is_confirmed_in_all_innocence();
    world.does(set_password(true));
    world.does(arrive());
    assert!(world.user_1().password.is_some() && world.is_confirmed_by_mail_alone());
    world.mails_a_token();
    world.does(disown_later());
    assert_eq!((world.user_1().password, world.contest()), (None, None));
    world.has_nothing_of_a_stranger_s();
}

#[test]
fn an_owner_who_has_come_finds_nothing_but_an_app_to_disown() {
    for owner_comes in [reset(), follow()] {
        let mut world = left_behind();
        world.does(owner_comes.clone());
        let came = format!("{owner_comes:?}");
        let account = world.user_1();
        world.pass(Duration::from_secs(400 * 24 * 3600));
        assert_eq!(world.contest(), Some(Contest::Claimed), "nobody has been in since: {came}");
        world.mails_a_token();
        world.does(disown_later());
        let after = world.user_1();
        assert_eq!((world.contest(), after.profile.mfa_enabled), (None, false), "{came}");
        assert_eq!(after.password, account.password, "what the owner has set stays: {came}");
    }
}

#[test]
fn who_is_signed_in_and_reads_the_mail_is_the_owner() {
    let own = Some(user(1));
    let mut at_once = left_behind();
    at_once.does(confirm(FIRST, own));
    let mut later = left_behind();
    later.is_confirmed_in_all_innocence();
    later.mails_a_token();
    later.does(confirm(LATER, own));
    assert_eq!(later.propose(confirm(LATER, own)), Err(Rejection::TokenUsed));
    let mut by_provider = World::unverified();
    by_provider.does(enroll());
    by_provider.does(enable(100));
    by_provider.is_confirmed_in_all_innocence();
    by_provider.does(link_the_mailbox());
    for mut world in [at_once, later, by_provider] {
        assert_eq!(world.contest(), None);
        world.issue(
            secret(1, 22),
            Content::Verification(Verification { user: user(1), email: email(1) }),
        );
        let disown = email_verification::Disown { token: secret(1, 22) };
        let disown = email_verification::Command::Disown(disown);
        let refused = world.propose(Command::EmailVerification(disown));
        assert_eq!(refused, Err(Rejection::InvalidToken));
        // Nor does coming by mail take anything from them.
        world.does(follow());
        assert!(world.user_1().profile.mfa_enabled && world.user_1().password.is_some());
        assert_eq!((world.count(Kind::Session), world.count(Kind::Identity)), (1, 1));
    }
    let mut another = left_behind();
    assert_eq!(another.propose(confirm(FIRST, Some(user(2)))), Err(Rejection::InvalidToken));
}

#[test]
fn an_administrator_who_vouches_for_an_address_settles_whose_the_account_is() {
    let (mut confirmed, mut claimed) = (left_behind(), left_behind());
    confirmed.is_confirmed_in_all_innocence();
    claimed.does(reset());
    for mut world in [confirmed, claimed] {
        assert!(world.contest().is_some());
        world.does(amend(|amend| amend.email_verified = Some(true)));
        assert_eq!(world.contest(), None);
        world.mails_a_token();
        assert_eq!(world.propose(disown_later()), Err(Rejection::InvalidToken));
    }
}

#[test]
fn who_reads_the_address_that_an_account_is_given_gets_no_way_in_of_the_former_ones() {
    for comes in [vec![disown_later()], vec![confirm(NEXT, None), disown_later()]] {
        let mut world = left_behind();
        world.does(reset());
        world.does(amend(|amend| amend.email = Some(email(7))));
        assert_eq!(world.contest(), None, "what was open was about the former address");
        for token in [NEXT, LATER] {
            let verification = Verification { user: user(1), email: email(7) };
            world.issue(secret(1, token), Content::Verification(verification));
        }
        let came = format!("{comes:?}");
        comes.into_iter().for_each(|command| world.does(command));
        let account = world.user_1();
        assert_eq!((account.password, account.profile.mfa_enabled), (None, false), "{came}");
        assert!(account.profile.email_verified, "{came}");
        assert_eq!(world.contest(), None, "{came}");
    }
}

#[test]
fn what_was_confirmed_by_mail_alone_is_open_for_a_while_and_no_longer() {
    let mut world = left_behind();
    world.does(confirm(FIRST, None));
    world.pass(CONFIRMED_FOR - Duration::from_millis(1));
    assert!(world.is_confirmed_by_mail_alone());
    world.pass(Duration::from_millis(1));
    world.mails_a_token();
    assert_eq!(world.contest(), None);
    assert_eq!(world.propose(disown_later()), Err(Rejection::InvalidToken));
    assert!(world.user_1().profile.mfa_enabled, "mail is worth no second factor for ever");
    let keys = world.expired();
    world.does(Command::Sweep(sweep::Command { keys }));
    assert_eq!(world.count(Kind::Contest), 0);
}

#[test]
fn what_time_does_not_end_is_not_swept() {
    let mut world = left_behind();
    world.does(follow());
    assert_eq!(world.contest(), Some(Contest::Claimed));
    world.pass(CONFIRMED_FOR * 2);
    let keys = vec![keys::contest(TENANT, user(1))];
    assert!(!world.expired().contains(&keys[0]));
    assert_eq!(world.propose(Command::Sweep(sweep::Command { keys })), Ok(Reply::Count(0)));
    assert_eq!(world.count(Kind::Contest), 1);
}

#[test]
fn a_token_is_not_used_up_by_confirming_what_is_confirmed() {
    let mut world = left_behind();
    world.mails_a_token();
    world.does(confirm(FIRST, None));
    for _ in 0..2 {
        assert_eq!(world.propose(confirm(LATER, None)), Ok(Reply::Done));
    }
    assert!(world.is_confirmed_by_mail_alone());
    world.does(disown_later());
    assert_eq!(world.propose(disown()), Err(Rejection::TokenUsed));
}
