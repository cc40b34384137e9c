//! Second factors: an authenticator app in somebody's hands, and the logins that ask for it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::node::Api;
use crate::people::{Session, User};
use crate::response::Response;
use crate::wait;

/// Seconds that a code lasts.
const STEP: u64 = 30;

/// An authenticator app that knows the seed of one account.
pub struct App {
    totp: Totp,
    used: u64,
    /// The codes that were handed out when it was enrolled.
    pub backup_codes: Vec<String>,
}

impl App {
    /// The app as it reads the secret that is shown at enrolment.
    pub fn with_secret(secret: &str) -> Self {
        let secret = Secret::try_from_base32(secret).expect("a secret in base32");
        let totp = Builder::new().with_secret(secret).build().expect("a long secret");
        Self { totp, used: 0, backup_codes: Vec::new() }
    }

    /// A code that was not shown before. Codes of neighbouring steps are taken too, so the first
    /// three come at once; who needs more waits for time to pass.
    pub async fn code(&mut self) -> String {
        let wanted = (self.used + 1).max(present_step() - 1);
        wait::until("the next code is taken", async || {
            (wanted <= present_step() + 1).then_some(())
        })
        .await;
        self.used = wanted;
        self.totp.generate(wanted * STEP).to_string()
    }

    /// The last code once more.
    pub fn last_code(&self) -> String {
        self.totp.generate(self.used * STEP).to_string()
    }

    /// A code that is none of this time's.
    pub fn wrong_code(&self) -> String {
        let now = present_step();
        let good: Vec<String> =
            (now - 2..=now + 2).map(|step| self.totp.generate(step * STEP).to_string()).collect();
        let wrong = (0..).map(|number| format!("{number:06}")).find(|code| !good.contains(code));
        wrong.expect("five of a million are good")
    }
}

#[expect(clippy::disallowed_methods, reason = "an authenticator app has a clock of its own")]
fn present_step() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / STEP
}

impl User {
    /// Asks for a seed, in the session of registration.
    pub async fn asks_for_a_seed(&self) -> Response {
        let body = json!({ "password": self.password });
        self.session.post("/users/me/mfa/totp/enroll", body).await.is_yes(200)
    }

    /// Switches the second factor on, in the session of registration.
    pub async fn enrols_an_app(&self) -> App {
        let mut app = App::with_secret(&self.asks_for_a_seed().await.text_of("secret"));
        let body = json!({ "code": app.code().await });
        let enabled = self.session.post("/users/me/mfa/totp/verify", body).await.is_yes(200);
        let codes = enabled.data()["backupCodes"].as_array().expect("backup codes");
        app.backup_codes =
            codes.iter().map(|code| code.as_str().expect("a text").to_owned()).collect();
        app
    }

    /// Logs in with a password where a second factor is asked for: the temporary token.
    pub async fn shows_a_password(&self) -> String {
        let answer = self.api.login(&self.email, &self.password).await.is_yes(200);
        assert_eq!(answer.data()["requiresMfa"], true, "{}", answer.text);
        assert!(answer.data().get("session").is_none(), "{}", answer.text);
        answer.text_of("tempToken")
    }

    /// Logs in with both, which must succeed.
    pub async fn logs_in_with(&self, app: &mut App) -> Session {
        let token = self.shows_a_password().await;
        let answer = self.api.shows_code(&token, &app.code().await).await.is_yes(200);
        Session::of(&self.api, answer.data())
    }
}

impl Api {
    /// Answers a temporary token with something.
    pub async fn shows(&self, token: &str, method: &str, name: &str, factor: Value) -> Response {
        let body = json!({ "tempToken": token, "method": method, name: factor });
        self.post("/auth/login/mfa", body).await
    }

    /// Answers a temporary token with a code of an app.
    pub async fn shows_code(&self, token: &str, code: &str) -> Response {
        self.shows(token, "totp", "code", code.into()).await
    }

    /// Answers a temporary token with a backup code.
    pub async fn shows_backup_code(&self, token: &str, code: &str) -> Response {
        self.shows(token, "backup_code", "code", code.into()).await
    }
}
