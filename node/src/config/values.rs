//! What values may be: each type reads itself from TOML or from the text of a variable or flag, and
//! can say in words what it allows.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use toml::Value;

/// A type that a configuration value can have.
pub trait Setting: Sized {
    /// Whether the value must stay out of messages.
    const SECRET: bool = false;

    /// Completes "it must be …".
    fn allowed() -> String;

    /// The value, if it is allowed.
    fn read(value: &Value) -> Option<Self>;
}

/// Plain text, not empty, without control characters.
impl Setting for String {
    fn allowed() -> String {
        "text on one line".into()
    }

    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        (!text.trim().is_empty() && !text.chars().any(char::is_control)).then(|| text.into())
    }
}

impl Setting for PathBuf {
    fn allowed() -> String {
        "a path".into()
    }

    fn read(value: &Value) -> Option<Self> {
        String::read(value).map(Self::from)
    }
}

impl Setting for bool {
    fn allowed() -> String {
        "true or false".into()
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(value) => Some(*value),
            value => value.as_str()?.parse().ok(),
        }
    }
}

impl Setting for SocketAddr {
    fn allowed() -> String {
        "an IP address and a port, such as 127.0.0.1:3000 or [::]:3000".into()
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl Setting for IpNet {
    fn allowed() -> String {
        "a CIDR, such as 10.0.0.0/8 or fd00::/8".into()
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

/// Empty text stands for none.
impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn allowed() -> String {
        format!("{}, or empty", T::allowed())
    }

    fn read(value: &Value) -> Option<Self> {
        if value.as_str() == Some("") { Some(None) } else { T::read(value).map(Some) }
    }
}

/// A TOML array, or text with commas.
impl<T: Setting> Setting for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn allowed() -> String {
        format!("a list, each {}", T::allowed())
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            Value::String(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| T::read(&Value::String(item.into()))).collect()
            }
            _ => None,
        }
    }
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Number<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Setting for Number<MIN, MAX> {
    fn allowed() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn read(value: &Value) -> Option<Self> {
        let number = match value {
            Value::Integer(number) => u64::try_from(*number).ok()?,
            value => value.as_str()?.parse().ok()?,
        };
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }
}

/// A length of time; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct Span(pub Duration);

impl Setting for Span {
    fn allowed() -> String {
        "a duration, such as 30s, 15min, 1h or 7d".into()
    }

    fn read(value: &Value) -> Option<Self> {
        let span = humantime::parse_duration(value.as_str()?).ok()?;
        (!span.is_zero()).then_some(Self(span))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

/// `T`, or `"0"` for off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OrOff<T> {
    /// In force.
    On(T),
    /// Switched off.
    #[serde(serialize_with = "zero")]
    Off,
}

fn zero<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("0")
}

impl<T: Setting> Setting for OrOff<T> {
    fn allowed() -> String {
        format!("{}, or 0 for off", T::allowed())
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(0) => Some(Self::Off),
            Value::String(text) if text == "0" => Some(Self::Off),
            value => T::read(value).map(Self::On),
        }
    }
}

/// `count` in each window of time `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many; at least 1.
    pub count: u32,
    /// The window.
    pub per: Duration,
}

/// The units of a limit: how they may be written, the first being how they are shown; seconds.
const UNITS: [(&[&str], u64); 4] = [
    (&["second", "sec", "s"], 1),
    (&["min", "minute", "m"], 60),
    (&["hour", "h"], 3600),
    (&["day", "d"], 86400),
];

impl Setting for Limit {
    fn allowed() -> String {
        "N/second, N/min, N/hour or N/day".into()
    }

    fn read(value: &Value) -> Option<Self> {
        let (count, unit) = value.as_str()?.split_once('/')?;
        let count = count.parse().ok().filter(|count| *count > 0)?;
        let (_, seconds) = UNITS.iter().find(|(names, _)| names.contains(&unit))?;
        Some(Self { count, per: Duration::from_secs(*seconds) })
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.per.as_secs());
        let unit = unit.map_or("second", |(names, _)| names[0]);
        serializer.collect_str(&format_args!("{}/{unit}", self.count))
    }
}

/// An address of the web: `http` or `https`, a host, perhaps a path; kept without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WebUrl(String);

impl WebUrl {
    /// The text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names this very machine.
    pub fn is_loopback(&self) -> bool {
        match url::Url::parse(&self.0).ok().as_ref().and_then(url::Url::host) {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The host, as in a certificate.
    pub fn host(&self) -> String {
        let url = url::Url::parse(&self.0).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Setting for WebUrl {
    fn allowed() -> String {
        "an http:// or https:// address without query or fragment".into()
    }

    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        let url = url::Url::parse(text).ok()?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let web = matches!(url.scheme(), "http" | "https") && url.has_host();
        (plain && web).then(|| Self(text.trim_end_matches('/').into()))
    }
}

/// A text that stays out of messages, logs and `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(secret)")
    }
}

impl Setting for Secret {
    const SECRET: bool = true;

    fn allowed() -> String {
        String::allowed()
    }

    fn read(value: &Value) -> Option<Self> {
        String::read(value).map(Self)
    }
}

/// An enumeration by its names.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Setting for $name {
            fn allowed() -> String {
                format!("one of {}", [$($text),*].join(", "))
            }

            fn read(value: &Value) -> Option<Self> {
                match value.as_str()? {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

names! {
    /// How access tokens are signed.
    SigningAlgorithm {
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// Ed25519.
        EdDsa = "EdDSA",
        /// RSA, PKCS #1 v1.5.
        Rs256 = "RS256",
        /// A shared secret; its keys appear in no JWKS.
        Hs256 = "HS256",
    }
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// For machines.
        Json = "json",
    }
}
