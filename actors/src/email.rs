//! E-mail addresses, parsed at the edge and trusted from then on.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;

/// An address in the one form in which it is stored and compared: lower case, NFC, domain in ASCII
/// (RFC 5321 §2.3.11, RFC 5890, RFC 6530 §10.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid email format")]
pub struct InvalidEmail;

/// RFC 5321 §4.5.3.1.3, less the angle brackets.
const LONGEST: usize = 254;

impl EmailAddress {
    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail)?;
        if domain.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(InvalidEmail);
        }
        let lower: String = local.to_lowercase().nfc().collect();
        let address = format!("{lower}@{domain}");
        let options = email_address::Options::default()
            .without_display_text()
            .without_domain_literal()
            .with_required_tld();
        let quoted = local.starts_with('"');
        if address.len() > LONGEST
            || quoted
            || address.chars().any(char::is_control)
            || email_address::EmailAddress::parse_with_options(&address, options).is_err()
        {
            return Err(InvalidEmail);
        }
        Ok(Self(address))
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        let address: EmailAddress = "User.Name+Tag@BÜCHER.example".parse().expect("an address");
        assert_eq!(address.as_str(), "user.name+tag@xn--bcher-kva.example");
        let composed: EmailAddress = "j\u{f6}rg@example.com".parse().expect("an address");
        assert_eq!("Jo\u{308}rg@example.com".parse(), Ok(composed));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        let foreign = [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a b@c.d",
            "a@b",
            "a@b..c",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "A <a@b.cd>",
            "a@b.c\r\nBcc: x@y.z",
            "\"a b\"@c.de",
            "a\0@b.cd",
            &long,
        ];
        for text in foreign {
            assert_eq!(text.parse::<EmailAddress>(), Err(InvalidEmail), "{text:?}");
        }
    }
}
