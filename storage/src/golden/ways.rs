//! Ways in and out: passwords of those who have none, logins that are bound to device and password, and
//! guesses that are counted once.

use super::{NOW, check, exchange, hand_over, handed_over, one_time, pending, proposal, redeem};
use crate::capability::api_keys::{self, ByKey, Judged, Revoke};
use crate::capability::email_verification::{self, Contest, Disown};
use crate::capability::mfa::PendingDevice;
use crate::capability::oauth::{self, BoundExchange, Prove};
use crate::capability::passwords::{self, FailWithin, LockoutPolicy, Set};
use crate::capability::sessions::{self, HandOverTo, Within};
use crate::capability::users::{self, Leave};
use crate::command::Command;
use crate::idempotency::{Guess, Ticket};
use crate::ids::{ApiKeyId, SessionId, UserId};
use crate::one_time::{Content, Proven};
use crate::pkce::{Challenge, Proof};
use crate::secret::SecretHash;

/// The lines that `golden/v1.txt` does not have.
pub fn checks() -> Vec<Option<String>> {
    let user = UserId::new(1, 2);
    let minutes = std::time::Duration::from_secs(900);
    let policy = LockoutPolicy { attempts: 5, window: minutes, duration: minutes };
    let fail = passwords::Command::FailWithin(FailWithin { user, policy });
    let set = passwords::Command::Set(Box::new(Set {
        user,
        session: SessionId::new(1, 5),
        verified: Some(1),
        password: "$argon2id$".into(),
        log_out_others: true,
    }));
    let operation = Ticket { digest: [1; 32], request: [2; 32], secrets: None, expires: NOW };
    let guess = Guess { operation, command: Command::Passwords(fail.clone()) };
    let leave = users::Command::Leave(Leave { user, verified: None });
    let disown = email_verification::Command::Disown(Disown { token: SecretHash([3; 32]) });
    let mut lines = vec![
        check("proposal-guess", &proposal(Command::Guess(Box::new(guess)))),
        check("proposal-fail-within", &proposal(Command::Passwords(fail))),
        check("proposal-set-password", &proposal(Command::Passwords(set))),
        check("proposal-leave", &proposal(Command::Users(leave))),
        check("proposal-disown", &proposal(Command::EmailVerification(disown))),
    ];
    if let Content::Pending(pending) = pending() {
        let user_agent = Some("golden/1".into());
        let pending = PendingDevice { pending, fingerprint: [4; 16], user_agent };
        lines.push(check("one-time-pending-device", &one_time(Content::PendingDevice(pending))));
    }
    let challenge = Challenge([7; 32]);
    if let Command::Sessions(sessions::Command::HandOver(hand_over)) = hand_over() {
        let to = sessions::Command::HandOverTo(HandOverTo { hand_over, challenge });
        lines.push(check("proposal-hand-over-to", &proposal(Command::Sessions(to))));
    }
    if let Command::Oauth(oauth::Command::Redeem(redeem)) = redeem() {
        for (name, proof) in [
            ("proposal-prove-nothing", Proof::None),
            ("proposal-prove", Proof::Verifier(challenge)),
            ("proposal-prove-in-vain", Proof::Malformed),
        ] {
            let prove = oauth::Command::Prove(Box::new(Prove { redeem: (*redeem).clone(), proof }));
            lines.push(check(name, &proposal(Command::Oauth(prove))));
        }
    }
    let proven = Proven { content: handed_over(), challenge };
    lines.push(check("one-time-proven", &one_time(Content::Proven(Box::new(proven)))));
    let change = api_keys::Command::Revoke(Revoke { id: ApiKeyId::new(1, 4) });
    let judged = Judged { id: ApiKeyId::new(1, 4), scopes: vec!["users:read".into()], change };
    let judged = api_keys::Command::Judged(Box::new(judged));
    lines.push(check("proposal-api-key-judged", &proposal(Command::ApiKeys(judged.clone()))));
    let (hash, scopes) = (SecretHash([3; 32]), vec!["users:read".into()]);
    let by_key = ByKey { hash, scopes, command: Command::ApiKeys(judged) };
    lines.push(check("proposal-by-key", &proposal(Command::ByKey(Box::new(by_key)))));
    lines.push(check("contested", &NOW));
    lines.push(check("contest-claimed", &Contest::Claimed));
    lines.push(check("contest-confirmed", &Contest::Confirmed { until: NOW }));
    let command = Command::Users(users::Command::Leave(Leave { user, verified: None }));
    let within = Within { user, session: SessionId::new(1, 5), command };
    lines.push(check("proposal-within", &proposal(Command::Within(Box::new(within)))));
    if let Content::Exchange(exchange) = exchange() {
        let bound = BoundExchange { exchange, password: Some(1) };
        lines.push(check("one-time-bound-exchange", &one_time(Content::BoundExchange(bound))));
    }
    lines
}
