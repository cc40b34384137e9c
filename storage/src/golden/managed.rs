//! What administrators do to users, phone numbers, and what is being forgotten.

use super::{NOW, check, proposal, sealed};
use crate::capability::phones::{Allowance, Confirm, PhoneCode, Report, Send, Sends, TextMessage};
use crate::capability::users::{
    Action, Actor, Amend, Changes, Create, Forget, Forgetting, Import, Manage, Newcomer,
};
use crate::capability::{phones, users};
use crate::command::Command;
use crate::ids::{ApiKeyId, MessageId, UserId};

const NUMBER: &str = "+14155550123";

fn by() -> Actor {
    Actor::ApiKey(ApiKeyId::new(1, 4))
}

fn newcomer() -> Newcomer {
    Newcomer {
        id: UserId::new(1, 2),
        email: "user@example.com".into(),
        email_verified: true,
        first_name: Some("John".into()),
        last_name: None,
        phone_number: Some(NUMBER.into()),
        phone_verified: true,
        avatar: None,
        metadata: "{}".into(),
        password: Some("$2b$".into()),
    }
}

fn amend() -> users::Command {
    users::Command::Amend(Box::new(Amend {
        user: UserId::new(1, 2),
        changes: Changes { first_name: Some(None), ..Changes::default() },
        email: Some("user@example.com".into()),
        email_verified: Some(true),
        phone_verified: None,
        password: Some("$argon2id$".into()),
        by: Actor::User(UserId::new(1, 3)),
    }))
}

fn manage(action: Action, by: Actor) -> users::Command {
    users::Command::Manage(Manage { user: UserId::new(1, 2), action, by })
}

fn send() -> phones::Command {
    phones::Command::Send(Box::new(Send {
        user: UserId::new(1, 2),
        number: NUMBER.into(),
        code: [1; 32],
        ttl_ms: 600_000,
        allowance: Allowance { most: 5, window_ms: 3_600_000 },
        message: MessageId::new(1, 5),
        content: sealed(),
    }))
}

/// The lines that `golden/v1.txt` does not have.
pub fn checks() -> Vec<Option<String>> {
    let user = UserId::new(1, 2);
    let message = MessageId::new(1, 5);
    let create = users::Command::Create(Box::new(Create { newcomer: newcomer(), by: by() }));
    let import = Import { newcomers: vec![newcomer()], by: Actor::Operator };
    let import = users::Command::Import(Box::new(import));
    let forget = users::Command::Forget(Forget { user, from: 1, found: vec![3], next: 7 });
    let confirm = phones::Command::Confirm(Confirm { user, code: [1; 32] });
    let report = phones::Command::Report(Report { message, next: Some(NOW) });
    let users = |command| proposal(Command::Users(command));
    let phones = |command| proposal(Command::Phones(command));
    let code = PhoneCode { number: NUMBER.into(), code: [1; 32], guesses: 2, expires: NOW };
    let text =
        TextMessage { id: message, user, content: sealed(), attempts: 1, next: NOW, expires: NOW };
    let forgetting = Forgetting { user, email: "user@example.com".into(), next: 3, last: 9 };
    vec![
        check("proposal-create-user", &users(create)),
        check("proposal-import-users", &users(import)),
        check("proposal-amend-user", &users(amend())),
        check("proposal-suspend-user", &users(manage(Action::Suspend, by()))),
        check("proposal-remove-user", &users(manage(Action::Remove, by()))),
        check("proposal-forget-user", &users(forget)),
        check("proposal-send-phone-code", &phones(send())),
        check("proposal-confirm-phone", &phones(confirm)),
        check("proposal-report-text-message", &phones(report)),
        check("phone-code", &code),
        check("phone-sends", &Sends { at: vec![NOW], expires: NOW }),
        check("text-message", &text),
        check("forgetting", &forgetting),
    ]
}
