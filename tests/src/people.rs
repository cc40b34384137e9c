//! People who use a node, and their sessions.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Api, answer};
use crate::response::Response;

/// A password that no policy refuses.
pub const PASSWORD: &str = "Seven-quiet-rivers-82!";

/// Somebody who has an account.
#[derive(Clone)]
pub struct User {
    /// How they reach the node.
    pub api: Api,
    /// `usr_…`
    pub id: String,
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: String,
    /// The session that registration gave them.
    pub session: Session,
}

impl User {
    /// Opens the account `NAME@example.com`.
    pub async fn registers(api: Api, name: &str) -> Self {
        let email = format!("{name}@example.com");
        let answer = api.registration(&email, PASSWORD).await.is_yes(201);
        let session = Session::of(&api, answer.data());
        Self { id: answer.text_of("user.id"), email, password: PASSWORD.into(), session, api }
    }

    /// Logs in, which must succeed.
    pub async fn logs_in(&self) -> Session {
        let answer = self.api.login(&self.email, &self.password).await.is_yes(200);
        Session::of(&self.api, answer.data())
    }

    /// Tries to log in with another password.
    pub async fn guesses(&self, password: &str) -> Response {
        self.api.login(&self.email, password).await
    }

    /// Changes the password in the session of registration, ending all others.
    pub async fn changes_password(&mut self, password: &str) -> Response {
        let body = json!({
            "currentPassword": self.password,
            "newPassword": password,
            "logoutOtherSessions": true,
        });
        let answer = self.session.post("/users/me/change-password", body).await.is_yes(200);
        self.password = password.into();
        answer
    }
}

/// A session with its present tokens.
#[derive(Clone)]
pub struct Session {
    /// How its owner reaches the node.
    pub api: Api,
    /// The JWT.
    pub access_token: String,
    /// `rt_…`
    pub refresh_token: String,
}

impl Session {
    /// The session in the `data` of a registration or login.
    #[track_caller]
    pub fn of(api: &Api, data: &Value) -> Self {
        Self::from_tokens(api, &data["session"])
    }

    #[track_caller]
    fn from_tokens(api: &Api, tokens: &Value) -> Self {
        let token = |name: &str| {
            let text = tokens[name].as_str();
            text.unwrap_or_else(|| panic!("no {name} in {tokens}")).to_owned()
        };
        let (access_token, refresh_token) = (token("accessToken"), token("refreshToken"));
        Self { api: api.clone(), access_token, refresh_token }
    }

    /// A request that carries the access token.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.api.request(method, path).bearer_auth(&self.access_token)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Response {
        answer(self.request(Method::GET, path)).await
    }

    /// `POST` of a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Response {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    /// `PUT` of a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Response {
        answer(self.request(Method::PUT, path).json(&body)).await
    }

    /// `DELETE` without a body.
    pub async fn delete(&self, path: &str) -> Response {
        answer(self.request(Method::DELETE, path)).await
    }

    /// `DELETE` with a JSON body.
    pub async fn delete_with(&self, path: &str, body: Value) -> Response {
        answer(self.request(Method::DELETE, path).json(&body)).await
    }

    /// `GET /users/me`.
    pub async fn me(&self) -> Response {
        self.get("/users/me").await
    }

    /// Tries to refresh.
    pub async fn refresh(&self) -> Response {
        self.api.refresh(&self.refresh_token).await
    }

    /// Refreshes, which must succeed; the session with its next tokens.
    pub async fn refreshes(&self) -> Self {
        let answer = self.refresh().await.is_yes(200);
        Self::from_tokens(&self.api, answer.data())
    }

    /// Logs out, which must succeed.
    pub async fn logs_out(&self) -> Response {
        let body = json!({ "refreshToken": self.refresh_token });
        self.post("/auth/logout", body).await.is_yes(200)
    }

    /// The sessions of its owner.
    pub async fn list(&self) -> Vec<Value> {
        let answer = self.get("/sessions").await.is_yes(200);
        answer.data()["sessions"].as_array().expect("a list").clone()
    }

    /// Its own id: the one marked current.
    pub async fn id(&self) -> String {
        let sessions = self.list().await;
        let current = sessions.iter().find(|session| session["isCurrent"] == true);
        current.and_then(|session| session["id"].as_str()).expect("a current session").to_owned()
    }

    /// Both of its tokens are accepted.
    pub async fn is_alive(&self) {
        self.me().await.is_yes(200);
        self.refresh().await.is_yes(200);
    }

    /// Neither of its tokens is accepted.
    pub async fn is_over(&self) {
        self.me().await.is_no(401, "session_revoked");
        self.refresh().await.is_no(401, "session_revoked");
    }
}
