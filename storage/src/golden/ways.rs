//! Ways in and out: passwords of those who have none, logins that are bound to device and password, and
//! guesses that are counted once.

use super::{NOW, check, exchange, one_time, pending, proposal};
use crate::capability::email_verification::{self, Disown};
use crate::capability::mfa::PendingDevice;
use crate::capability::oauth::BoundExchange;
use crate::capability::passwords::{self, FailWithin, LockoutPolicy, Set};
use crate::capability::users::{self, Leave};
use crate::command::Command;
use crate::idempotency::{Guess, Ticket};
use crate::ids::{SessionId, UserId};
use crate::one_time::Content;
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
    if let Content::Exchange(exchange) = exchange() {
        let bound = BoundExchange { exchange, password: Some(1) };
        lines.push(check("one-time-bound-exchange", &one_time(Content::BoundExchange(bound))));
    }
    lines
}
