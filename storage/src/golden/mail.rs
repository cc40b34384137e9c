//! Of the outbox and of what mails carry.

use super::{NOW, check, entry, one_time, proposal, register, sealed};
use crate::capability::limits::{Bucket, Counter, Level, Limit};
use crate::capability::{email_verification, magic_links, password_reset, users};
use crate::command::{Command, Reply};
use crate::ids::{MagicLinkId, MailId, UserId};
use crate::one_time::Content;
use crate::outbox::{self, Letter, Mail, Mailed, Mailing, Queue};
use crate::pkce::Challenge;
use crate::secret::SecretHash;
use crate::traces::Trace;

pub fn checks() -> Vec<Option<String>> {
    let sent = outbox::Command::Remove(vec![MailId::new(1, 6)]);
    vec![
        check("one-time-verification", &one_time(verification())),
        check("one-time-reset", &one_time(reset())),
        check("one-time-magic-link", &one_time(magic_link())),
        check("mail", &mail()),
        check("mail-queue", &Queue { waiting: 1, kept: 2 }),
        check("counter", &Counter::default()),
        check("trace", &Trace { expires: NOW }),
        check("reply-mailed", &mailed()),
        check("proposal-register-with-mail", &proposal(register_with_mail())),
        check("proposal-send-verification", &proposal(send_verification())),
        check("proposal-confirm", &proposal(confirm())),
        check("proposal-forgot", &proposal(forgot())),
        check("proposal-ask-verification", &proposal(ask_verification())),
        check("proposal-reset-password", &proposal(reset_password())),
        check("proposal-send-link", &proposal(send_link())),
        check("proposal-follow-link", &proposal(follow_link())),
        check("proposal-leave-link", &proposal(leave_link())),
        check("proposal-leave-link-to", &proposal(leave_link_to())),
        check("proposal-outbox", &proposal(Command::Outbox(sent))),
    ]
}

fn mailing() -> Mailing {
    let letter = Letter { id: MailId::new(1, 6), sealed: sealed(), ttl_ms: 60_000, kept: true };
    Mailing { token: SecretHash([10; 32]), letter }
}

fn limit(bucket: Bucket) -> Limit {
    Limit { bucket, count: 3, window: std::time::Duration::from_secs(3600) }
}

fn register_with_mail() -> Command {
    let Command::Users(users::Command::Register(register)) = register() else {
        unreachable!("it was just made")
    };
    let register = email_verification::Register {
        register: *register,
        verification: mailing(),
        notice: mailing().letter,
        limit: limit(Bucket::Registration),
    };
    Command::EmailVerification(email_verification::Command::Register(Box::new(register)))
}

fn send_verification() -> Command {
    let send = email_verification::Send {
        user: UserId::new(1, 2),
        email: "user@example.com".into(),
        mailing: mailing(),
        limit: limit(Bucket::EmailVerification),
    };
    Command::EmailVerification(email_verification::Command::Send(Box::new(send)))
}

fn ask_verification() -> Command {
    let limit = limit(Bucket::EmailVerification);
    let ask =
        email_verification::Ask { email: "user@example.com".into(), mailing: mailing(), limit };
    Command::EmailVerification(email_verification::Command::Ask(Box::new(ask)))
}

fn confirm() -> Command {
    let confirm = email_verification::Confirm { token: SecretHash([10; 32]), user: None };
    Command::EmailVerification(email_verification::Command::Confirm(confirm))
}

fn forgot() -> Command {
    let (email, limit) = ("user@example.com".into(), limit(Bucket::PasswordReset));
    let request = password_reset::Request { email, mailing: mailing(), limit };
    Command::PasswordReset(password_reset::Command::Request(Box::new(request)))
}

fn reset_password() -> Command {
    let (token, password) = (SecretHash([10; 32]), "$argon2id$".into());
    let complete = password_reset::Complete { token, password };
    Command::PasswordReset(password_reset::Command::Complete(Box::new(complete)))
}

fn send_link() -> Command {
    let send = magic_links::Send {
        id: MagicLinkId::new(1, 7),
        email: "user@example.com".into(),
        redirect_url: Some("https://a.example/b".into()),
        may_sign_up: true,
        mailing: mailing(),
        limit: limit(Bucket::MagicLink),
    };
    Command::MagicLinks(magic_links::Command::Send(Box::new(send)))
}

fn arrival() -> magic_links::Arrival {
    let (token, new_user) = (SecretHash([10; 32]), UserId::new(1, 2));
    magic_links::Arrival { token, new_user, may_sign_up: true }
}

fn follow_link() -> Command {
    let follow = magic_links::Follow { arrival: arrival(), entry: entry() };
    Command::MagicLinks(magic_links::Command::Follow(Box::new(follow)))
}

fn leave_link() -> Command {
    let leave = magic_links::Leave { arrival: arrival(), code: SecretHash([9; 32]) };
    Command::MagicLinks(magic_links::Command::Leave(Box::new(leave)))
}

fn leave_link_to() -> Command {
    let leave = magic_links::Leave { arrival: arrival(), code: SecretHash([9; 32]) };
    let to = magic_links::LeaveTo { leave, challenge: Challenge([7; 32]) };
    Command::MagicLinks(magic_links::Command::LeaveTo(Box::new(to)))
}

fn verification() -> Content {
    let (user, email) = (UserId::new(1, 2), "user@example.com".into());
    Content::Verification(email_verification::Verification { user, email })
}

fn reset() -> Content {
    let (user, email) = (UserId::new(1, 2), "user@example.com".into());
    Content::Reset(password_reset::Reset { user, email, generation: 1 })
}

fn magic_link() -> Content {
    Content::MagicLink(magic_links::MagicLink {
        id: MagicLinkId::new(1, 7),
        email: "user@example.com".into(),
        generation: 1,
        redirect_url: None,
        may_sign_up: false,
    })
}

fn mail() -> Mail {
    Mail { id: MailId::new(1, 6), sealed: sealed(), created: NOW, expires: NOW }
}

fn mailed() -> Reply {
    let bucket = Bucket::MagicLink;
    let level = Level { bucket, limit: 3, remaining: 2, full_at: NOW };
    let link = Some((MagicLinkId::new(1, 7), NOW));
    Reply::Mailed(Box::new(Mailed { level: Some(level), link }))
}
