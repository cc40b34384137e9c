//! Ids: a prefix for people, sixteen time-ordered bytes for machines (a ULID: 48 bits of Unix
//! milliseconds, 80 random bits), written as lower-case Crockford base32.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// An id that is not of its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct InvalidId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// An id of this moment, from 80 random bits.
            pub fn new(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms, random).to_bytes())
            }

            /// The bytes that order by time.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Its random bits, without its moment.
            pub fn random(&self) -> &[u8] {
                &self.0[6..]
            }

            /// The id that `as_bytes` gave.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_id($prefix, text).map(Self)
            }
        }
    )*};
}

ids! {
    /// A user of a tenant.
    UserId = "usr_";
    /// A session of a user.
    SessionId = "sess_";
    /// A device that a user has logged in from.
    DeviceId = "dev_";
    /// An API key.
    ApiKeyId = "key_";
    /// An event, in the audit log and in webhooks.
    EventId = "evt_";
    /// A passkey.
    CredentialId = "cred_";
    /// One HTTP request.
    RequestId = "req_";
    /// A text message.
    MessageId = "msg_";
    /// A mail in the outbox.
    MailId = "mail_";
    /// A magic link, as those who asked for it know it.
    MagicLinkId = "ml_";
}

fn write_id(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: [u8; 16]) -> fmt::Result {
    let mut text = [0; ulid::ULID_LEN];
    let text = Ulid::from_bytes(bytes).array_to_str(&mut text);
    text.make_ascii_lowercase();
    f.write_str(prefix)?;
    f.write_str(text)
}

fn parse_id(prefix: &str, text: &str) -> Result<[u8; 16], InvalidId> {
    let digits = text.strip_prefix(prefix).ok_or(InvalidId)?;
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(InvalidId);
    }
    let id = Ulid::from_string(digits).map_err(|_| InvalidId)?;
    Ok(id.to_bytes())
}

/// The short number by which a tenant is known inside: in keys, and in secrets as its short code
/// (lower-case Crockford base32 of the number). `0` is the cluster itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantNumber(pub u32);

impl TenantNumber {
    /// The cluster's own records, in shard 0.
    pub const CLUSTER: Self = Self(0);
    /// The tenant that founding creates.
    pub const DEFAULT: Self = Self(1);

    /// The shard that holds the tenant.
    pub fn shard(self, shards: u16) -> ShardId {
        ShardId((self.0 % u32::from(shards.max(1))) as u16)
    }
}

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for TenantNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = (32 - self.0.leading_zeros()).div_ceil(5).max(1);
        for digit in (0..digits).rev() {
            let value = (self.0 >> (digit * 5)) & 31;
            write!(f, "{}", char::from(BASE32[value as usize]))?;
        }
        Ok(())
    }
}

impl FromStr for TenantNumber {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.len() > 7 || (text.len() > 1 && text.starts_with('0')) {
            return Err(InvalidId);
        }
        let mut number: u64 = 0;
        for byte in text.bytes() {
            let digit = BASE32.iter().position(|known| *known == byte).ok_or(InvalidId)?;
            number = number * 32 + digit as u64;
        }
        u32::try_from(number).map(Self).map_err(|_| InvalidId)
    }
}

/// The public name of a tenant: `default`, or `ten_` and a ULID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TenantId(String);

impl TenantId {
    /// The tenant that founding creates.
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    /// An id of this moment, from 80 random bits.
    pub fn new(unix_ms: u64, random: u128) -> Self {
        let id = Ulid::from_parts(unix_ms, random).to_string();
        Self(format!("ten_{}", id.to_ascii_lowercase()))
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
            return Err(InvalidId);
        }
        Ok(Self(text.into()))
    }
}

/// A Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = UserId::new(1_736_937_000_000, 0xABCD_EF01_2345);
        let text = id.to_string();
        assert!(text.starts_with("usr_01"), "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse::<UserId>(), Err(InvalidId));
        assert_eq!(text.replace("usr_", "sess_").parse::<UserId>(), Err(InvalidId));
    }

    #[test]
    fn a_tenant_number_survives_its_code() {
        for number in [0, 1, 31, 32, 1023, 1024, u32::MAX] {
            let code = TenantNumber(number).to_string();
            assert_eq!(code.parse(), Ok(TenantNumber(number)), "{code}");
        }
        for foreign in ["", "01", "zzzzzzz", "u", "A", "1 "] {
            assert_eq!(foreign.parse::<TenantNumber>(), Err(InvalidId), "{foreign}");
        }
    }
}
