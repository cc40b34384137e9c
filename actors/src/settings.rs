//! What a tenant may settle for itself. The stored form is the JSON object of what differs from the
//! deployment's configuration; changes are JSON Merge Patches (RFC 7396).

use std::collections::BTreeMap;
use std::time::Duration;

use janua_storage::capability::passwords::LockoutPolicy;
use janua_storage::capability::tenants::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::capability::passkeys;
use crate::mail;
use crate::redirect::is_listable;
use crate::refusal::{FieldError, Refusal};

/// The longest that an access token may last, seconds.
pub const LONGEST_ACCESS_TTL: u64 = 24 * 3600;

/// Who may create an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anybody.
    #[default]
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody.
    Closed,
}

/// The settings of a tenant, complete. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Where magic links and logins may lead back to.
    pub redirect_urls: Vec<String>,
    /// Browser origins that may call (CORS).
    pub allowed_origins: Vec<String>,
    /// Whether a magic link to an unknown address creates an account.
    pub magic_link_signup: bool,
    /// Who may create an account.
    pub registration: Registration,
    /// Whether registration hides that an address has an account.
    pub hide_existing_accounts: bool,
    /// Lifetimes and signature of tokens.
    pub tokens: Tokens,
    /// What a password must be.
    pub passwords: Passwords,
    /// When wrong guesses close an account.
    pub lockout: Lockout,
    /// Passkeys.
    pub webauthn: Webauthn,
    /// Upstream providers, by name.
    pub oauth: BTreeMap<String, Provider>,
    /// How mail looks.
    pub mail: Mail,
    /// How hosted pages look.
    pub branding: Branding,
    /// Where text messages go.
    pub sms: Sms,
    /// Days that events are kept; 0 for ever.
    pub audit_retention_days: u32,
}

/// Lifetimes and signature of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tokens {
    /// Of an access token, seconds.
    pub access_ttl: u64,
    /// Of a session, seconds.
    pub session_ttl: u64,
    /// Whether use moves the end of a session.
    pub sliding_session: bool,
    /// How new signing keys sign.
    pub signing_algorithm: AlgorithmName,
}

/// The name of an algorithm as `alg` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 §3.1 and RFC 8037")]
pub enum AlgorithmName {
    ES256,
    EdDSA,
    RS256,
    HS256,
}

/// What a password must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Passwords {
    /// Fewest characters.
    pub min_length: u32,
    /// Lowest zxcvbn score, 0 to 4.
    pub min_score: u8,
    /// Whether breached passwords are looked up online.
    pub breach_check: bool,
}

/// When wrong guesses close an account. Times are seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lockout {
    /// So many wrong guesses; 0 never.
    pub attempts: u32,
    /// Within this time of the first.
    pub window: u64,
    /// Close it for so long.
    pub duration: u64,
}

/// Passkeys (WebAuthn Level 3 §4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webauthn {
    /// Relying party id: a domain.
    pub rp_id: String,
    /// What authenticators show.
    pub rp_name: String,
    /// Where ceremonies may take place.
    pub origins: Vec<String>,
}

/// An upstream provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Provider {
    /// Our name there.
    pub client_id: String,
    /// Our secret there, sealed: never shown.
    #[serde(skip_serializing)]
    pub client_secret: Option<String>,
    /// For OpenID Connect discovery.
    pub issuer: String,
    /// Whether users see it.
    pub enabled: bool,
}

/// How mail looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mail {
    /// Sender.
    pub from: String,
    /// Language, as a BCP 47 tag.
    pub locale: String,
    /// What the product is called.
    pub brand: String,
}

/// How hosted pages look. Their name and language are those of mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Branding {
    /// An `https` address of the logo; empty: the name stands in its place.
    pub logo_url: String,
    /// `#rrggbb`; empty: ours. Pages shade it until it can be read.
    pub primary_color: String,
}

/// Where text messages go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sms {
    /// Called for each message.
    pub webhook_url: String,
    /// What its calls are signed with, sealed: never shown.
    #[serde(skip_serializing)]
    pub secret: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            redirect_urls: Vec::new(),
            allowed_origins: Vec::new(),
            magic_link_signup: false,
            registration: Registration::Open,
            hide_existing_accounts: false,
            tokens: Tokens {
                access_ttl: 3600,
                session_ttl: 7 * 24 * 3600,
                sliding_session: false,
                signing_algorithm: AlgorithmName::ES256,
            },
            passwords: Passwords { min_length: 8, min_score: 3, breach_check: false },
            lockout: Lockout { attempts: 5, window: 15 * 60, duration: 15 * 60 },
            webauthn: Webauthn {
                rp_id: "localhost".into(),
                rp_name: "Janua".into(),
                origins: vec!["http://localhost:3000".into()],
            },
            oauth: BTreeMap::new(),
            mail: Mail::default(),
            branding: Branding::default(),
            sms: Sms::default(),
            audit_retention_days: 0,
        }
    }
}

impl Settings {
    /// The deployment's defaults with what the tenant has changed.
    pub fn with(&self, changes: &str) -> Result<Self, Refusal> {
        let changes = serde_json::from_str(changes)
            .map_err(|error| Refusal::unavailable(format!("stored settings: {error}")))?;
        self.merged(&changes)
    }

    /// The same as changed by a merge patch, if what comes of it is right.
    pub fn merged(&self, patch: &Value) -> Result<Self, Refusal> {
        if !patch.is_object() {
            return Err(Refusal::field("settings", "must be an object"));
        }
        let mut all = serde_json::to_value(self).unwrap_or_default();
        merge(&mut all, patch);
        let settings: Self = serde_path_to_error::deserialize(all).map_err(not_of_type)?;
        settings.check()?;
        Ok(settings)
    }

    /// When wrong guesses close an account.
    pub fn lockout_policy(&self) -> LockoutPolicy {
        LockoutPolicy {
            attempts: self.lockout.attempts,
            window: Duration::from_secs(self.lockout.window),
            duration: Duration::from_secs(self.lockout.duration),
        }
    }

    /// When wrong codes of a second factor are taken no more: the same, but never more than
    /// `CODES_A_DAY`, whatever the tenant says. A code has six digits.
    pub fn second_factor_policy(&self) -> LockoutPolicy {
        const CODES_A_DAY: u32 = 500;
        let asked = self.lockout_policy();
        let attempts = match asked.attempts {
            0 => CODES_A_DAY,
            asked => asked.min(CODES_A_DAY),
        };
        let least = Duration::from_secs(24 * 3600) * attempts / CODES_A_DAY;
        let (window, duration) = (asked.window.max(least), asked.duration.max(least));
        LockoutPolicy { attempts, window, duration }
    }

    fn check(&self) -> Result<(), Refusal> {
        const YEAR: u64 = 366 * 24 * 3600;
        let within = |field: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(Refusal::field(field, format!("must be from {least} to {most}")))
            }
        };
        within("settings.tokens.accessTtl", self.tokens.access_ttl, 10, LONGEST_ACCESS_TTL)?;
        within("settings.tokens.sessionTtl", self.tokens.session_ttl, 10, YEAR)?;
        within("settings.passwords.minLength", self.passwords.min_length.into(), 8, 256)?;
        within("settings.passwords.minScore", self.passwords.min_score.into(), 0, 4)?;
        within("settings.lockout.attempts", self.lockout.attempts.into(), 0, 1000)?;
        within("settings.lockout.window", self.lockout.window, 1, YEAR)?;
        within("settings.lockout.duration", self.lockout.duration, 1, YEAR)?;
        passkeys::check(&self.webauthn)?;
        if !self.allowed_origins.iter().all(|origin| is_origin(origin)) {
            let rule = "must be origins as browsers send them, such as https://app.example.com";
            return Err(Refusal::field("settings.allowedOrigins", rule));
        }
        mail::check(&self.mail)?;
        if !self.redirect_urls.iter().all(|url| is_listable(url)) {
            let rule =
                "must be https URLs without user, query and fragment; http only for loopback";
            return Err(Refusal::field("settings.redirectUrls", rule));
        }
        self.branding.check()
    }
}

impl Branding {
    fn check(&self) -> Result<(), Refusal> {
        let is_logo = |url: Url| url.scheme() == "https" && url.has_host();
        if !self.logo_url.is_empty() && !Url::parse(&self.logo_url).is_ok_and(is_logo) {
            return Err(Refusal::field("settings.branding.logoUrl", "must be an https URL"));
        }
        let is_colour = |digits: &str| {
            digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        let digits = self.primary_color.strip_prefix('#');
        if !self.primary_color.is_empty() && !digits.is_some_and(is_colour) {
            let rule = "must be a colour such as #2f5bd8";
            return Err(Refusal::field("settings.branding.primaryColor", rule));
        }
        Ok(())
    }
}

fn not_of_type(error: serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let FieldError { field, message } = FieldError::of_type(&error);
    Refusal::field(&format!("settings.{field}"), message)
}

/// Whether a browser may send it as `Origin` (RFC 6454 §7.1).
fn is_origin(text: &str) -> bool {
    let of_web = |url: &Url| matches!(url.scheme(), "http" | "https");
    Url::parse(text).is_ok_and(|url| of_web(&url) && url.origin().ascii_serialization() == text)
}

/// Puts what `seal` makes of them in the place of the secrets in a patch.
pub fn seal_secrets(
    patch: &mut Value,
    seal: impl Fn(&str) -> Result<String, Refusal>,
) -> Result<(), Refusal> {
    let mut secrets = Vec::new();
    if let Some(Value::Object(providers)) = patch.get_mut("oauth") {
        secrets.extend(providers.values_mut().filter_map(|one| one.get_mut("clientSecret")));
    }
    for secret in secrets {
        seal_text(secret, &seal)?;
    }
    match patch.get_mut("sms").and_then(|sms| sms.get_mut("secret")) {
        Some(secret) => seal_text(secret, &seal),
        None => Ok(()),
    }
}

fn seal_text(
    secret: &mut Value,
    seal: &impl Fn(&str) -> Result<String, Refusal>,
) -> Result<(), Refusal> {
    if let Value::String(text) = secret {
        *text = seal(text)?;
    }
    Ok(())
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::ES256 => Self::ES256,
            AlgorithmName::EdDSA => Self::EdDSA,
            AlgorithmName::RS256 => Self::RS256,
            AlgorithmName::HS256 => Self::HS256,
        }
    }
}

/// RFC 7396 §2. Applied to the stored changes, a null takes a change back: the deployment's setting
/// holds again.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
