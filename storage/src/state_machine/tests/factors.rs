//! Second factors and passkeys: what is good once, what is counted, what goes with its owner.

use super::*;
use crate::capability::mfa::{
    Answer, Disable, Enable, Enroll, Entry, Factors, GUESSES, Proof, StepUp,
};
use crate::capability::passkeys::{
    Aim, Assertion, Begin, CHALLENGE_TTL_MS, Ceremony, LogIn as PasskeyLogIn, Passkey,
    Register as PasskeyRegister, Whose,
};
use crate::capability::passwords::Enter;
use crate::capability::{mfa, passkeys};
use crate::ids::CredentialId;

const CODE: SecretHash = SecretHash([77; 32]);

fn sealed() -> crate::seal::Sealed {
    Key::new([1; 32]).seal([0; 12], b"", b"seed").expect("sealing")
}

fn temp(number: u8) -> SecretHash {
    let mut hash = [number; 32];
    hash[0] = u8::MAX;
    SecretHash(hash)
}

fn entry(session: u8, temp_token: SecretHash) -> Entry {
    Entry { start: begin(session, token(session)), temp_token, temp_ttl_ms: 300_000 }
}

fn totp(time_step: u64) -> Proof {
    Proof::Totp { generation: 1, time_step: Some(time_step) }
}

const WRONG: Proof = Proof::Totp { generation: 1, time_step: None };

impl World {
    fn mfa(&mut self, command: mfa::Command) -> Outcome {
        self.propose(Command::Mfa(command))
    }

    fn passkeys(&mut self, command: passkeys::Command) -> Outcome {
        self.propose(Command::Passkeys(command))
    }

    /// User 1 with an app whose code of step 100 was shown, and a backup code.
    fn enrolled() -> Self {
        let mut world = Self::new();
        signed_in(world.register(1));
        let enroll = Enroll { user: user(1), verified: Some(1), seed: sealed() };
        assert_eq!(world.mfa(mfa::Command::Enroll(Box::new(enroll))), Ok(Reply::Done));
        assert_eq!(world.enable(1, 100), Ok(Reply::Done));
        world
    }

    fn enable(&mut self, generation: u32, time_step: u64) -> Outcome {
        let enable = Enable {
            user: user(1),
            session: SessionId::new(1, 1),
            generation,
            time_step: Some(time_step),
            backup_codes: vec![CODE],
            policy: POLICY,
        };
        self.mfa(mfa::Command::Enable(Box::new(enable)))
    }

    fn show_password(&mut self, session: u8, temp_token: SecretHash) -> Outcome {
        let entry = entry(session, temp_token);
        let enter = Enter { user: user(1), verified: 1, rehashed: None, entry };
        self.propose(Command::Passwords(passwords::Command::Enter(Box::new(enter))))
    }

    fn answer(&mut self, temp_token: SecretHash, session: u8, proof: Proof) -> Outcome {
        let start = begin(session, token(session));
        let policy = POLICY;
        let answer = Answer { temp_token, user: user(1), proof, policy, start };
        self.mfa(mfa::Command::Answer(Box::new(answer)))
    }

    fn challenged(&mut self, session: u8, temp_token: SecretHash) {
        let reply = self.show_password(session, temp_token);
        assert!(matches!(reply, Ok(Reply::Challenged(_))), "{reply:?}");
    }

    fn begin_ceremony(&mut self, challenge: SecretHash, aim: Aim) {
        let ceremony = Ceremony { aim, state: sealed() };
        let begin = passkeys::Command::Begin(Box::new(Begin { challenge, ceremony }));
        assert_eq!(self.passkeys(begin), Ok(Reply::Done));
    }

    fn register_passkey(&mut self, number: u8) -> Outcome {
        let challenge = SecretHash([number; 32]);
        let session = SessionId::new(1, 1);
        self.begin_ceremony(challenge, Aim::Register { user: user(1), session });
        let passkey = passkey(number);
        let register = PasskeyRegister { challenge, session, passkey };
        self.passkeys(passkeys::Command::Register(Box::new(register)))
    }

    fn log_in_with_passkey(&mut self, number: u8, challenge: u8, counter: u32) -> Outcome {
        self.log_in_with_passkey_in(TENANT, number, challenge, counter)
    }

    fn log_in_with_passkey_in(
        &mut self,
        tenant: TenantNumber,
        number: u8,
        challenge: u8,
        counter: u32,
    ) -> Outcome {
        let assertion = Assertion {
            challenge: SecretHash([challenge; 32]),
            user: user(1),
            id: passkey(number).id,
            counter,
            backed_up: false,
            verifier: "{}".into(),
        };
        let entry = entry(challenge, temp(challenge));
        let log_in = passkeys::Command::LogIn(Box::new(PasskeyLogIn { assertion, entry }));
        self.propose_for(tenant, Command::Passkeys(log_in))
    }
}

fn passkey(number: u8) -> Passkey {
    Passkey {
        id: CredentialId::new(START.0, u128::from(number)),
        user: user(1),
        credential: vec![number; 32],
        name: "Passkey".into(),
        verifier: "{}".into(),
        counter: 3,
        backup_eligible: false,
        backed_up: false,
        transports: Vec::new(),
        created: START,
        last_used: None,
    }
}

#[test]
fn a_time_step_is_accepted_once_and_none_before_it() {
    let mut world = World::enrolled();
    for (number, time_step) in [(1, 100), (2, 99)] {
        world.challenged(number, temp(number));
        assert_eq!(world.answer(temp(number), number, totp(time_step)), Ok(Reply::WrongGuess));
    }
    signed_in(world.answer(temp(1), 10, totp(101)));
    assert_eq!(world.answer(temp(2), 11, totp(101)), Ok(Reply::WrongGuess));
    signed_in(world.answer(temp(2), 11, totp(102)));
}

#[test]
fn a_code_of_an_app_that_was_replaced_is_wrong() {
    let mut world = World::enrolled();
    world.challenged(1, temp(1));
    let enroll = Enroll { user: user(1), verified: Some(1), seed: sealed() };
    assert_eq!(world.mfa(mfa::Command::Enroll(Box::new(enroll))), Ok(Reply::Done));
    assert_eq!(world.enable(1, 101), Ok(Reply::WrongGuess));
    assert_eq!(world.enable(2, 101), Ok(Reply::Done));
    assert_eq!(world.answer(temp(1), 10, totp(150)), Ok(Reply::WrongGuess));
}

#[test]
fn wrong_codes_use_up_a_token_and_close_codes_for_the_user() {
    let mut world = World::enrolled();
    world.challenged(1, temp(1));
    world.challenged(2, temp(2));
    for _ in 0..GUESSES {
        assert_eq!(world.answer(temp(1), 10, WRONG), Ok(Reply::WrongGuess));
    }
    assert_eq!(world.answer(temp(1), 10, totp(101)), Err(Rejection::TokenUsed));
    let until = world.now.after(POLICY.duration);
    let locked = Err(Rejection::AccountLocked { until });
    assert_eq!(world.answer(temp(2), 10, totp(101)), locked);
    assert_eq!(world.answer(temp(2), 10, Proof::BackupCode(CODE)), locked);
    let session = SessionId::new(1, 1);
    let step_up = StepUp { user: user(1), session, proof: totp(101), policy: POLICY };
    assert_eq!(world.mfa(mfa::Command::StepUp(Box::new(step_up))), locked);
    let disable = Disable { user: user(1), verified: Some(1), proof: totp(101), policy: POLICY };
    assert_eq!(world.mfa(mfa::Command::Disable(Box::new(disable))), locked);
    // The right password does not forgive what was guessed behind it.
    world.challenged(3, temp(3));
    assert_eq!(world.answer(temp(3), 10, totp(101)), locked);
    world.pass(POLICY.duration);
    world.challenged(4, temp(4));
    signed_in(world.answer(temp(4), 10, totp(101)));
    let locks = world.events().iter().filter(|kind| **kind == "auth.account_locked").count();
    assert_eq!(locks, 1);
}

#[test]
fn a_temporary_token_lasts_five_minutes() {
    let mut world = World::enrolled();
    world.challenged(1, temp(1));
    world.pass(Duration::from_secs(300));
    assert_eq!(world.answer(temp(1), 10, totp(101)), Err(Rejection::InvalidToken));
}

#[test]
fn a_backup_code_is_gone_once_it_was_used() {
    let mut world = World::enrolled();
    world.challenged(1, temp(1));
    world.challenged(2, temp(2));
    signed_in(world.answer(temp(1), 10, Proof::BackupCode(CODE)));
    assert_eq!(world.answer(temp(2), 11, Proof::BackupCode(CODE)), Ok(Reply::WrongGuess));
}

#[test]
fn an_enrolment_does_not_wait_for_ever() {
    let mut world = World::new();
    signed_in(world.register(1));
    let enroll = Enroll { user: user(1), verified: Some(1), seed: sealed() };
    assert_eq!(world.mfa(mfa::Command::Enroll(Box::new(enroll))), Ok(Reply::Done));
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.enable(1, 200), Err(Rejection::NotFound));
    assert!(!world.view().user(user(1)).expect("no fault").expect("a user").profile.mfa_enabled);
}

#[test]
fn a_counter_only_grows() {
    let mut world = World::new();
    signed_in(world.register(1));
    assert!(matches!(world.register_passkey(1), Ok(Reply::Passkey(_))));
    for challenge in 10..15 {
        world.begin_ceremony(SecretHash([challenge; 32]), Aim::LogIn(Whose::Anybody));
    }
    signed_in(world.log_in_with_passkey(1, 10, 5));
    for (challenge, counter) in [(11, 4), (12, 5), (13, 0)] {
        let refused = world.log_in_with_passkey(1, challenge, counter);
        assert_eq!(refused, Ok(Reply::WrongGuess), "{counter}");
        let again = world.log_in_with_passkey(1, challenge, 9);
        assert_eq!(again, Err(Rejection::TokenUsed), "a challenge is for one try");
    }
    signed_in(world.log_in_with_passkey(1, 14, 6));
    assert_eq!(world.view().passkeys(user(1)).expect("no fault")[0].counter, 6);
    let failures = world.events().iter().filter(|kind| **kind == "auth.login_failed").count();
    assert_eq!(failures, 3);
}

#[test]
fn a_challenge_is_for_one_aim_one_user_and_five_minutes() {
    let mut world = World::new();
    signed_in(world.register(1));
    assert!(matches!(world.register_passkey(1), Ok(Reply::Passkey(_))));
    let invalid = Err(Rejection::InvalidToken);
    world.begin_ceremony(SecretHash([10; 32]), Aim::SecondFactor(temp(1)));
    assert_eq!(world.log_in_with_passkey(1, 10, 5), invalid);
    world.begin_ceremony(SecretHash([11; 32]), Aim::LogIn(Whose::User(user(2))));
    let foreign = Err(Rejection::InvalidCredentials);
    assert_eq!(world.log_in_with_passkey(1, 11, 5), foreign);
    world.begin_ceremony(SecretHash([12; 32]), Aim::LogIn(Whose::Nobody));
    assert_eq!(world.log_in_with_passkey(1, 12, 5), foreign);
    world.begin_ceremony(SecretHash([13; 32]), Aim::LogIn(Whose::User(user(1))));
    world.pass(Duration::from_millis(CHALLENGE_TTL_MS));
    assert_eq!(world.log_in_with_passkey(1, 13, 5), invalid);
    assert_eq!(world.log_in_with_passkey(1, 99, 5), invalid);
}

#[test]
fn a_passkey_and_its_challenge_are_of_one_tenant() {
    let mut world = World::new();
    signed_in(world.register(1));
    assert!(matches!(world.register_passkey(1), Ok(Reply::Passkey(_))));
    let challenge = SecretHash([10; 32]);
    world.begin_ceremony(challenge, Aim::LogIn(Whose::Anybody));
    let other = TenantNumber(2);
    let refused = world.log_in_with_passkey_in(other, 1, 10, 5);
    assert_eq!(refused, Err(Rejection::InvalidToken), "the challenge is unknown there");
    let ceremony = Ceremony { aim: Aim::LogIn(Whose::Anybody), state: sealed() };
    let begin = passkeys::Command::Begin(Box::new(Begin { challenge, ceremony }));
    assert_eq!(world.propose_for(other, Command::Passkeys(begin)), Ok(Reply::Done));
    let refused = world.log_in_with_passkey_in(other, 1, 10, 5);
    assert_eq!(refused, Err(Rejection::InvalidCredentials), "so is the passkey");
    let there = View::new(&world.records, other);
    assert_eq!(there.passkey_by_credential(&passkey(1).credential).expect("no fault"), None);
    signed_in(world.log_in_with_passkey(1, 10, 5));
}

#[test]
fn a_credential_belongs_to_one_account() {
    let mut world = World::new();
    signed_in(world.register(1));
    assert!(matches!(world.register_passkey(1), Ok(Reply::Passkey(_))));
    let challenge = SecretHash([50; 32]);
    let session = SessionId::new(1, 1);
    world.begin_ceremony(challenge, Aim::Register { user: user(1), session });
    let passkey = Passkey { id: CredentialId::new(START.0, 50), ..passkey(1) };
    let register = PasskeyRegister { challenge, session, passkey };
    let taken = world.passkeys(passkeys::Command::Register(Box::new(register)));
    assert_eq!(taken, Err(Rejection::CredentialExists));
}

#[test]
fn an_account_takes_its_factors_with_it() {
    let mut world = World::enrolled();
    assert!(matches!(world.register_passkey(1), Ok(Reply::Passkey(_))));
    world.challenged(1, temp(1));
    assert_eq!(world.answer(temp(1), 10, WRONG), Ok(Reply::WrongGuess));
    let delete = Delete { user: user(1), verified: 1 };
    assert_eq!(world.propose(Command::Users(users::Command::Delete(delete))), Ok(Reply::Done));
    assert_eq!(world.view().factors(user(1)).expect("no fault"), Factors::default());
    for kind in [Kind::Mfa, Kind::MfaGuesses, Kind::Passkey, Kind::PasskeyByCredential] {
        let range = keys::range(TENANT, kind);
        assert!(world.records.keys().all(|key| !key.starts_with(&range)), "{kind:?} is left");
    }
    assert_eq!(world.answer(temp(1), 10, totp(101)), Err(Rejection::InvalidToken));
}
