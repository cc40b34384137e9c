//! What was wrong with a form, in the visitor's language, beside the fields that it concerns.

use janua_actors::capability::passwords::LONGEST;
use janua_actors::settings::Settings;

use super::texts::{Texts, fill};
use crate::error::{Code, Error};

/// What was wrong with a form; nothing, where it is shown for the first time.
#[derive(Debug, Default)]
pub struct Faults {
    /// What is wrong, in a line that is announced.
    pub summary: Option<String>,
    fields: Vec<(&'static str, String)>,
}

impl Faults {
    /// A fault that concerns no field.
    pub fn general(text: impl Into<String>) -> Self {
        Self { summary: Some(text.into()), fields: Vec::new() }
    }

    /// Whether it concerns no field.
    pub fn is_general(&self) -> bool {
        self.fields.is_empty()
    }

    /// What is wrong with a field.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == field).map(|(_, text)| text.as_str())
    }

    /// Whether a field is the first one at fault: the one to go to.
    pub fn is_first(&self, field: &str) -> bool {
        self.fields.first().is_some_and(|(known, _)| *known == field)
    }

    /// Why a form was refused, where that is something its visitor can do something about; what
    /// is not comes back.
    pub fn explain(error: Error, t: &Texts, settings: &Settings) -> Result<Self, Error> {
        match error.code() {
            Code::ValidationError | Code::WeakPassword => Self::of_fields(error, t, settings),
            Code::PasswordBreached => Ok(Self::in_field(t, "password", t.password_breached)),
            Code::EmailAlreadyExists => Ok(Self::in_field(t, "email", t.email_taken)),
            Code::InvalidMfaCode => Ok(Self::in_field(t, "code", t.code_wrong)),
            Code::InvalidCredentials => Ok(Self::general(t.credentials_wrong)),
            Code::AccountLocked => {
                let minutes = error.retry_after().map_or(1, |wait| wait.as_secs().div_ceil(60));
                Ok(Self::general(fill(t.locked, "number", &minutes.max(1).to_string())))
            }
            Code::AccountSuspended => {
                Ok(Self::general(fill(t.suspended, "brand", &brand(settings))))
            }
            Code::InvalidToken => Ok(Self::general(t.token_invalid)),
            Code::TokenUsed => Ok(Self::general(t.token_used)),
            Code::RateLimitExceeded => Ok(Self::general(t.too_many)),
            _ => Err(error),
        }
    }

    fn in_field(t: &Texts, field: &'static str, text: &str) -> Self {
        Self { summary: Some(t.fault_summary.into()), fields: vec![(field, text.into())] }
    }

    fn of_fields(error: Error, t: &Texts, settings: &Settings) -> Result<Self, Error> {
        let missing = |message: &str| message == "is required";
        let is_long = |message: &str| message == "is too long" || message.contains("at most");
        let shortest = settings.passwords.min_length.to_string();
        let fields: Vec<_> = error
            .details()
            .iter()
            .filter_map(|detail| {
                let is_missing = missing(&detail.message);
                let (field, text) = match detail.field.as_str() {
                    "email" if is_missing => ("email", t.email_missing.into()),
                    "email" => ("email", t.email_invalid.into()),
                    "password" | "newPassword" if is_missing => {
                        ("password", t.password_missing.into())
                    }
                    "password" | "newPassword" if detail.message.contains("at least") => {
                        ("password", fill(t.password_short, "number", &shortest))
                    }
                    "password" | "newPassword" if is_long(&detail.message) => {
                        ("password", fill(t.password_long, "number", &LONGEST.to_string()))
                    }
                    "password" | "newPassword" => ("password", t.password_guessable.into()),
                    "firstName" => ("firstName", t.name_invalid.into()),
                    "lastName" => ("lastName", t.name_invalid.into()),
                    "code" if is_missing => ("code", t.code_missing.into()),
                    "code" => ("code", t.code_wrong.into()),
                    _ => return None,
                };
                Some((field, text))
            })
            .collect();
        if fields.is_empty() {
            return Err(error);
        }
        Ok(Self { summary: Some(t.fault_summary.into()), fields })
    }
}

/// What the product is called.
pub fn brand(settings: &Settings) -> String {
    let named = [&settings.mail.brand, &settings.webauthn.rp_name];
    named.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_else(|| "Janua".into())
}
