//! Second factors and passkeys.

use std::time::Duration;

use super::*;
use crate::capability::mfa::{
    Answer, Disable, Enable, Enroll, Factors, Proof, RenewBackupCodes, Shown, StepUp, Totp,
};
use crate::capability::passkeys::{
    Aim, Assertion, Begin, Ceremony, LogIn, Passkey, Place, Register, Remove, Rename, Whose,
};
use crate::capability::{mfa, passkeys};
use crate::ids::CredentialId;

fn policy() -> LockoutPolicy {
    let minutes = Duration::from_secs(900);
    LockoutPolicy { attempts: 5, window: minutes, duration: minutes }
}

fn user_id() -> UserId {
    UserId::new(1, 2)
}

fn session_id() -> SessionId {
    SessionId::new(1, 5)
}

fn credential_id() -> CredentialId {
    CredentialId::new(1, 9)
}

fn factors() -> Factors {
    let app = |generation| Totp { generation, seed: sealed(), enrolled: NOW, last_step: 7 };
    Factors {
        totp: Some(app(1)),
        pending: Some(app(2)),
        generation: 2,
        backup_codes: vec![SecretHash([3; 32])],
        shown: vec![Shown { session: session_id(), at: NOW }],
    }
}

fn passkey() -> Passkey {
    Passkey {
        id: credential_id(),
        user: user_id(),
        credential: vec![1, 2, 3],
        name: "Phone".into(),
        verifier: "{}".into(),
        counter: 4,
        backup_eligible: true,
        backed_up: false,
        transports: vec!["internal".into()],
        created: NOW,
        last_used: Some(NOW),
    }
}

fn assertion() -> Assertion {
    Assertion {
        challenge: SecretHash([4; 32]),
        user: user_id(),
        id: credential_id(),
        counter: 5,
        backed_up: true,
        verifier: "{}".into(),
    }
}

fn of_mfa(name: &str, command: mfa::Command) -> Option<String> {
    check(name, &proposal(Command::Mfa(command)))
}

fn of_passkeys(name: &str, command: passkeys::Command) -> Option<String> {
    check(name, &proposal(Command::Passkeys(command)))
}

fn ceremony(name: &str, aim: Aim) -> Option<String> {
    check(name, &one_time(Content::Ceremony(Ceremony { aim, state: sealed() })))
}

pub fn checks() -> Vec<Option<String>> {
    let (user, session, verified) = (user_id(), session_id(), Some(1));
    let backup_codes = vec![SecretHash([3; 32])];
    let challenge = SecretHash([4; 32]);
    let totp = Proof::Totp { generation: 1, time_step: Some(8) };
    let by_passkey = Proof::Passkey(Box::new(assertion()));
    let by_code = Proof::BackupCode(SecretHash([3; 32]));
    let enroll = Enroll { user, verified, seed: sealed() };
    let enable = Enable {
        user,
        session,
        generation: 1,
        time_step: Some(7),
        backup_codes: backup_codes.clone(),
        policy: policy(),
    };
    let disable = Disable { user, verified, proof: totp, policy: policy() };
    let renew = RenewBackupCodes { user, verified, backup_codes };
    let answer = Answer {
        temp_token: SecretHash([8; 32]),
        user,
        proof: by_passkey,
        policy: policy(),
        start: start(),
    };
    let step_up = StepUp { user, session, proof: by_code, policy: policy() };
    let asked = Ceremony { aim: Aim::LogIn(Whose::Anybody), state: sealed() };
    let fail = passkeys::Fail { challenge, user: Some(user), reason: "origin".into() };
    vec![
        check("factors", &factors()),
        check("passkey", &passkey()),
        check("passkey-place", &Place { user, id: credential_id() }),
        ceremony("one-time-ceremony-register", Aim::Register { user, session }),
        ceremony("one-time-ceremony-user", Aim::LogIn(Whose::User(user))),
        ceremony("one-time-ceremony-nobody", Aim::LogIn(Whose::Nobody)),
        ceremony("one-time-ceremony-factor", Aim::SecondFactor(SecretHash([8; 32]))),
        of_mfa("proposal-mfa-enroll", mfa::Command::Enroll(Box::new(enroll))),
        of_mfa("proposal-mfa-enable", mfa::Command::Enable(Box::new(enable))),
        of_mfa("proposal-mfa-disable", mfa::Command::Disable(Box::new(disable))),
        of_mfa("proposal-mfa-renew", mfa::Command::RenewBackupCodes(Box::new(renew))),
        of_mfa("proposal-mfa-answer", mfa::Command::Answer(Box::new(answer))),
        of_mfa("proposal-mfa-step-up", mfa::Command::StepUp(Box::new(step_up))),
        of_passkeys(
            "proposal-passkey-begin",
            passkeys::Command::Begin(Box::new(Begin { challenge, ceremony: asked })),
        ),
        of_passkeys(
            "proposal-passkey-register",
            passkeys::Command::Register(Box::new(Register {
                challenge,
                session,
                passkey: passkey(),
            })),
        ),
        of_passkeys(
            "proposal-passkey-log-in",
            passkeys::Command::LogIn(Box::new(LogIn { assertion: assertion(), entry: entry() })),
        ),
        of_passkeys("proposal-passkey-fail", passkeys::Command::Fail(fail)),
        of_passkeys(
            "proposal-passkey-rename",
            passkeys::Command::Rename(Rename { user, id: credential_id(), name: "Phone".into() }),
        ),
        of_passkeys(
            "proposal-passkey-remove",
            passkeys::Command::Remove(Remove { user, id: credential_id() }),
        ),
    ]
}
