//! What a node has acknowledged, as something that every other node must know from then on.

use reqwest::Method;
use serde_json::Value;

use super::client::{Credential, Outcome, Request};
use super::people::Tenant;

/// Something that was acknowledged and stays true.
#[derive(Debug)]
pub enum Fact {
    /// There is this account.
    Account {
        /// `usr_…`
        id: String,
        /// Its address.
        email: String,
    },
    /// The session of this access token is good.
    Alive {
        /// The access token.
        token: String,
    },
    /// The session of this access token has ended.
    Ended {
        /// The access token.
        token: String,
    },
}

impl Fact {
    /// The request that holds a node to it.
    pub fn question<'a>(&'a self, tenant: &'a Tenant, path: &'a mut String) -> Request<'a> {
        let credential = match self {
            Self::Account { id, .. } => {
                *path = format!("/users/{id}");
                Credential::Key(&tenant.secret_key)
            }
            Self::Alive { token } | Self::Ended { token } => {
                *path = "/users/me".to_owned();
                Credential::Bearer(token)
            }
        };
        Request { method: Method::GET, path, credential, body: Value::Null }
    }

    /// Whether the answer agrees with it; nothing, if that is unknown.
    pub fn holds(&self, answer: &Outcome) -> Option<bool> {
        match (self, answer) {
            (_, Outcome::Unknown) => None,
            (Self::Account { id, email }, Outcome::Yes(user)) => {
                Some(user["id"] == id.as_str() && user["email"] == email.as_str())
            }
            (Self::Alive { .. }, Outcome::Yes(_)) => Some(true),
            (Self::Ended { .. }, Outcome::No(_, code)) => Some(code == "session_revoked"),
            _ => Some(false),
        }
    }

    /// What it is, in words without secrets.
    pub fn told(&self) -> String {
        match self {
            Self::Account { email, .. } => format!("the registration of {email}"),
            Self::Alive { .. } => "a login or refresh".to_owned(),
            Self::Ended { .. } => "a revocation".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;

    fn no(code: &str) -> Outcome {
        Outcome::No(StatusCode::UNAUTHORIZED, code.into())
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_noticed() {
        let account = Fact::Account { id: "usr_1".into(), email: "a@example.com".into() };
        let user = |id: &str| Outcome::Yes(json!({ "id": id, "email": "a@example.com" }));
        assert_eq!(account.holds(&user("usr_1")), Some(true));
        assert_eq!(account.holds(&user("usr_2")), Some(false));
        assert_eq!(account.holds(&no("resource_not_found")), Some(false));

        let alive = Fact::Alive { token: "t".into() };
        assert_eq!(alive.holds(&user("usr_1")), Some(true));
        assert_eq!(alive.holds(&no("session_revoked")), Some(false));

        let ended = Fact::Ended { token: "t".into() };
        assert_eq!(ended.holds(&no("session_revoked")), Some(true));
        assert_eq!(ended.holds(&no("invalid_token")), Some(false));
        assert_eq!(ended.holds(&user("usr_1")), Some(false));

        for fact in [account, alive, ended] {
            assert_eq!(fact.holds(&Outcome::Unknown), None, "no answer tells nothing");
        }
    }
}
