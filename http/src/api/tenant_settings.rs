//! The form of a tenant's settings: as the documents describe it, and as a patch must have it. Names
//! and types are read from the settings themselves, so that a new one is described by being there;
//! what a type does not tell stands here.

use janua_actors::settings::{LONGEST_ACCESS_TTL, Provider, Settings};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, Schema};

use crate::error::{Detail, Error};
use crate::rules;

/// As an operator is shown them: complete.
pub fn complete() -> Schema {
    Shape { is_patch: false }.object("", &fields(&Settings::default()))
}

/// As an operator changes them: by what is there, where `null` goes back to the default.
pub fn patch() -> Schema {
    Shape { is_patch: true }.object("", &fields(&Settings::default()))
}

/// Refuses a patch with anything but an object in the place of one (an array would be read as its
/// fields, in the order in which they happen to stand), and with what could be kept but never used.
pub fn check(patch: &Map<String, Value>) -> Result<(), Error> {
    check_objects(patch)?;
    let given = |name: &str| patch.get(name).into_iter();
    let mut providers = given("oauth").filter_map(Value::as_object).flatten();
    let is_lost = |name: &str, value: &Value| !value.is_null() && !rules::is_provider_name(name);
    if let Some((name, _)) = providers.find(|(name, value)| is_lost(name, value)) {
        let rule = "the name must be at most 64 letters, digits, dashes and underscores";
        return Err(Error::invalid(vec![Detail::new(format!("settings.oauth.{name}"), rule)]));
    }
    let mut pages = given("redirectUrls").filter_map(Value::as_array).flatten();
    if pages.any(|page| page.as_str().is_some_and(|page| page.contains('*'))) {
        let rule = "must be whole addresses: they are compared, and no sign stands for others";
        return Err(Error::invalid(vec![Detail::new("settings.redirectUrls", rule)]));
    }
    Ok(())
}

fn check_objects(patch: &Map<String, Value>) -> Result<(), Error> {
    let settings = fields(&Settings::default());
    let is_section = |name: &str| settings.get(name).is_some_and(Value::is_object);
    let sections = patch.iter().filter(|(name, _)| is_section(name));
    let sections = sections.map(|(name, value)| (format!("settings.{name}"), value));
    let providers = patch.get("oauth").and_then(Value::as_object).into_iter().flatten();
    let providers = providers.map(|(name, value)| (format!("settings.oauth.{name}"), value));
    match sections.chain(providers).find(|(_, value)| !value.is_object() && !value.is_null()) {
        Some((at, _)) => Err(Error::invalid(vec![Detail::new(at, "expected an object")])),
        None => Ok(()),
    }
}

/// The bounds of a number.
fn bounds(at: &str) -> (u64, u64) {
    const YEAR: u64 = 366 * 24 * 3600;
    match at {
        "tokens.accessTtl" => (10, LONGEST_ACCESS_TTL),
        "tokens.sessionTtl" => (10, YEAR),
        "passwords.minLength" => (8, 256),
        "passwords.minScore" => (0, 4),
        "lockout.attempts" => (0, 1000),
        "lockout.window" | "lockout.duration" => (1, YEAR),
        _ => (0, u32::MAX.into()),
    }
}

/// The values of what has a few.
fn values(at: &str) -> Option<Vec<Value>> {
    match at {
        "registration" => Some(["open", "invite", "closed"].map(Value::from).into()),
        "tokens.signingAlgorithm" => {
            Some(["ES256", "EdDSA", "RS256", "HS256"].map(Value::from).into())
        }
        _ => None,
    }
}

/// What an object takes in and never shows.
fn secrets(at: &str) -> impl Iterator<Item = &'static str> {
    let secret = match at {
        "oauth.*" => Some("clientSecret"),
        "sms" => Some("secret"),
        _ => None,
    };
    secret.into_iter()
}

fn fields(settings: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[derive(Clone, Copy)]
struct Shape {
    is_patch: bool,
}

impl Shape {
    fn of(self, at: &str, value: &Value) -> Schema {
        match value {
            Value::Object(_) if at == "oauth" => {
                let provider = self.object("oauth.*", &fields(&Provider::default()));
                let providers = ObjectBuilder::new().schema_type(self.kind(Type::Object));
                providers.additional_properties(Some(provider)).build().into()
            }
            Value::Object(fields) => self.object(at, fields),
            Value::Array(_) => {
                let text = ObjectBuilder::new().schema_type(Type::String);
                ArrayBuilder::new().schema_type(self.kind(Type::Array)).items(text).build().into()
            }
            Value::Bool(_) => self.plain(Type::Boolean).enum_values(values(at)).build().into(),
            Value::Number(_) => {
                let (least, most) = bounds(at);
                let number = self.plain(Type::Integer).format(None);
                number.minimum(Some(least as f64)).maximum(Some(most as f64)).build().into()
            }
            _ => self.plain(Type::String).enum_values(values(at)).build().into(),
        }
    }

    /// Keys that are not among these are refused.
    fn object(self, at: &str, fields: &Map<String, Value>) -> Schema {
        let mut object = ObjectBuilder::new()
            .schema_type(self.kind(Type::Object))
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        for (name, value) in fields {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            object = object.property(name, self.of(&path, value));
            if !self.is_patch {
                object = object.required(name);
            }
        }
        for name in secrets(at).filter(|_| self.is_patch) {
            let secret = self.plain(Type::String).write_only(true);
            object = object.property(name, secret);
        }
        object.build().into()
    }

    fn plain(self, kind: Type) -> ObjectBuilder {
        ObjectBuilder::new().schema_type(self.kind(kind))
    }

    fn kind(self, kind: Type) -> SchemaType {
        if self.is_patch { [kind, Type::Null].into_iter().collect() } else { kind.into() }
    }
}
