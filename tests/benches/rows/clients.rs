//! The clients of the API that rows run.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::load::{Answer, Client, get, post};

/// Logs in again and again, as one user after the other.
#[derive(Clone)]
pub struct Login {
    users: Vec<(String, String)>,
    turn: usize,
    /// Refusals without `Retry-After`.
    pub silent_refusals: usize,
}

impl Login {
    /// Starts with the user at `turn`.
    pub fn new(users: Vec<(String, String)>, turn: usize) -> Self {
        Self { users, turn, silent_refusals: 0 }
    }
}

impl Client for Login {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let (email, password) = &self.users[self.turn % self.users.len()];
        // A step that shares no factor with common counts, so that clients spread over the users.
        self.turn += 7919;
        Some(post("/auth/login", json!({ "email": email, "password": password }).to_string()))
    }

    fn answered(&mut self, answer: Answer) -> bool {
        let refused = answer.status == 503 && !answer.headers.contains_key("retry-after");
        self.silent_refusals += usize::from(refused);
        answer.status == 200
    }
}

/// Asks who it is, with one token after the other.
pub struct Me {
    tokens: Vec<String>,
    turn: usize,
    once: bool,
}

impl Me {
    /// With these tokens in turn, for as long as it is asked to.
    pub fn with(tokens: Vec<String>) -> Self {
        Self { tokens, turn: 0, once: false }
    }

    /// With each of these tokens once.
    pub fn once_with(tokens: Vec<String>) -> Self {
        Self { tokens, turn: 0, once: true }
    }
}

impl Client for Me {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        if self.once && self.turn == self.tokens.len() {
            return None;
        }
        let token = &self.tokens[self.turn % self.tokens.len()];
        self.turn += 1;
        Some(get("/users/me", token))
    }

    fn answered(&mut self, answer: Answer) -> bool {
        answer.status == 200
    }
}

/// Refreshes sessions in turn, each with the token that its last refresh gave.
pub struct Refresh {
    tokens: Vec<String>,
    turn: usize,
    /// The access tokens that came, when they are wanted.
    pub collected: Option<Vec<String>>,
}

impl Refresh {
    /// With these refresh tokens.
    pub fn with(tokens: Vec<String>) -> Self {
        Self { tokens, turn: 0, collected: None }
    }

    /// The tokens that are valid now.
    pub fn into_tokens(self) -> Vec<String> {
        self.tokens
    }

    /// Keeping the access tokens.
    pub fn collecting(mut self) -> Self {
        self.collected = Some(Vec::new());
        self
    }
}

impl Client for Refresh {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let token = &self.tokens[self.turn % self.tokens.len()];
        Some(post("/auth/refresh", json!({ "refreshToken": token }).to_string()))
    }

    fn answered(&mut self, answer: Answer) -> bool {
        let place = self.turn % self.tokens.len();
        self.turn += 1;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(next) = body["data"]["refreshToken"].as_str() else { return false };
        self.tokens[place] = next.into();
        if let (Some(collected), Some(token)) =
            (&mut self.collected, body["data"]["accessToken"].as_str())
        {
            collected.push(token.into());
        }
        true
    }
}

/// Registers users that nobody else registers, and keeps their tokens. Whoever is refused because
/// the server is busy, as a crowd that comes all at once may be, asks again.
pub struct Register {
    client: usize,
    left: usize,
    /// Refresh and access tokens.
    pub tokens: Vec<(String, String)>,
    /// Addresses.
    pub emails: Vec<String>,
}

impl Register {
    /// `count` users under the number of this client.
    pub fn new(client: usize, count: usize) -> Self {
        Self { client, left: count, tokens: Vec::new(), emails: Vec::new() }
    }
}

impl Client for Register {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        self.left = self.left.checked_sub(1)?;
        let email = format!("many-{}-{}@example.com", self.client, self.left);
        let password = janua_tests::people::PASSWORD;
        let body =
            json!({ "email": email, "password": password, "firstName": "John", "lastName": "Doe" });
        self.emails.push(email);
        Some(post("/auth/register", body.to_string()))
    }

    fn answered(&mut self, answer: Answer) -> bool {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let session = &body["data"]["session"];
        let (Some(refresh), Some(access)) =
            (session["refreshToken"].as_str(), session["accessToken"].as_str())
        else {
            assert_eq!(answer.status, 503, "{body}");
            self.left += 1;
            self.emails.pop();
            return false;
        };
        self.tokens.push((refresh.into(), access.into()));
        true
    }
}
