//! Flows through providers, and identities.

use super::*;
use crate::capability::oauth;
use crate::capability::oauth::{
    Account, Arrive, Begin, Claim, Flow, Identity, Link, LinkByCode, Linking, Offer, Purpose,
    Release, Then, Unlink,
};
use crate::pkce::Challenge;

fn user_id() -> UserId {
    UserId::new(1, 2)
}

fn account() -> Account {
    Account {
        provider: "acme".into(),
        issuer: "https://acme.example".into(),
        subject: "subject-1".into(),
        email: Some("user@example.com".into()),
        email_verified: true,
        first_name: Some("John".into()),
        last_name: None,
        avatar: None,
    }
}

fn linking() -> Linking {
    Linking { user: user_id(), session: SessionId::new(1, 5), account: account() }
}

fn flow(purpose: Purpose) -> Flow {
    Flow {
        provider: "acme".into(),
        issuer: "https://acme.example".into(),
        secrets: sealed(),
        redirect_uri: "https://id.example/auth/oauth/acme/callback".into(),
        return_to: "https://app.example/back".into(),
        page_state: Some("state".into()),
        browser: SecretHash([7; 32]),
        purpose,
        claim: Some([8; 16]),
    }
}

fn of_oauth(name: &str, command: oauth::Command) -> Option<String> {
    check(name, &proposal(Command::Oauth(command)))
}

fn arrive(then: Then) -> oauth::Command {
    let arrive = Arrive { account: account(), id: user_id(), may_register: true, then };
    oauth::Command::Arrive(Box::new(arrive))
}

pub fn checks() -> Vec<Option<String>> {
    let (state, code) = (SecretHash([5; 32]), SecretHash([6; 32]));
    let (claim, provider) = ([8; 16], "acme".to_owned());
    let link = Purpose::Link { user: user_id(), session: SessionId::new(1, 5) };
    let identity = Identity { user: user_id(), account: account(), linked: NOW, last_used: NOW };
    let begin = Begin { state, flow: flow(Purpose::LogIn) };
    let by_code = LinkByCode { code, user: user_id(), session: SessionId::new(1, 5) };
    let offer = Offer { linking: linking(), code };
    vec![
        check("identity", &identity),
        check("one-time-flow", &one_time(Content::Flow(Box::new(flow(link))))),
        check("one-time-linking", &one_time(Content::Linking(Box::new(linking())))),
        of_oauth("oauth-begin", oauth::Command::Begin(Box::new(begin))),
        of_oauth("oauth-claim", oauth::Command::Claim(Claim { state, provider, claim })),
        of_oauth("oauth-release", oauth::Command::Release(Release { state, claim })),
        of_oauth("oauth-arrive", arrive(Then::Enter(entry()))),
        of_oauth("oauth-arrive-for-page", arrive(Then::Leave(code))),
        of_oauth("oauth-arrive-for-proven-page", arrive(Then::LeaveTo(code, Challenge([7; 32])))),
        of_oauth("oauth-link", oauth::Command::Link(Box::new(Link { linking: linking() }))),
        of_oauth("oauth-offer", oauth::Command::Offer(Box::new(offer))),
        of_oauth("oauth-link-by-code", oauth::Command::LinkByCode(by_code)),
        of_oauth(
            "oauth-unlink",
            oauth::Command::Unlink(Unlink { user: user_id(), provider: "acme".into() }),
        ),
    ]
}
