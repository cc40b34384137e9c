//! The rules that fields share. They judge form alone; whether a well-formed value is acceptable is
//! for the actors to say.

use janua_actors::email::{EmailAddress, InvalidEmail};
use janua_actors::phone::PhoneNumber;
use janua_storage::moment::Moment;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::error::{Detail, Error};

const LONGEST_NAME: usize = 100;
const LONGEST_PASSWORD: usize = 4096;
const LONGEST_CODE: usize = 64;
const LONGEST_URL: usize = 2048;
const LARGEST_METADATA: usize = 16 * 1024;

type Verdict = garde::Result;

fn no(message: &str) -> Verdict {
    Err(garde::Error::new(message))
}

/// The fields that are missing or malformed, where they are judged one by one.
pub fn check<const N: usize>(verdicts: [(&'static str, Verdict); N]) -> Result<(), Error> {
    let faults = verdicts.into_iter().filter_map(|(field, verdict)| {
        verdict.err().map(|error| Detail::new(field, error.message()))
    });
    let faults: Vec<_> = faults.collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
}

/// There is something in it.
pub fn present(text: &str, _: &()) -> Verdict {
    if text.is_empty() { no("is required") } else { Ok(()) }
}

/// It is there.
pub fn there<T>(field: &Option<T>, _: &()) -> Verdict {
    if field.is_some() { Ok(()) } else { no("is required") }
}

/// An e-mail address (RFC 5321, RFC 6531).
pub fn email(text: &str, _: &()) -> Verdict {
    present(text, &())?;
    match text.parse::<EmailAddress>() {
        Ok(_) => Ok(()),
        Err(error) => Err(garde::Error::new(error)),
    }
}

/// The address that passed the rule, for the actors.
pub fn address(field: &str, text: &str) -> Result<EmailAddress, Error> {
    text.parse()
        .map_err(|error: InvalidEmail| Error::invalid(vec![Detail::new(field, error.to_string())]))
}

/// A password as it may be sent; the policy comes later and has its own status.
pub fn password(text: &str, _: &()) -> Verdict {
    present(text, &())?;
    if text.chars().count() <= LONGEST_PASSWORD { Ok(()) } else { no("is too long") }
}

/// A code of a second factor, however it is typed.
pub fn code(text: &str, _: &()) -> Verdict {
    present(text, &())?;
    if text.len() <= LONGEST_CODE { Ok(()) } else { no("is too long") }
}

/// A person's name, or a part of one.
pub fn name(text: &str, _: &()) -> Verdict {
    if text.chars().count() > LONGEST_NAME {
        return no("must have at most 100 characters");
    }
    if text.contains(char::is_control) { no("must be plain text") } else { Ok(()) }
}

/// A name in addresses: a label of a host name (RFC 1035 §2.3.1, with a digit first as well).
pub fn slug(text: &str, _: &()) -> Verdict {
    let formed = (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if formed { Ok(()) } else { no("must be at most 63 lower-case letters, digits and dashes") }
}

/// Whether it may be the name of a provider, which stands in addresses.
pub fn is_provider_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// A phone number (ITU-T E.164) of a country that there is.
pub fn phone_number(text: &str, _: &()) -> Verdict {
    text.parse::<PhoneNumber>().map(drop).map_err(garde::Error::new)
}

/// A time as in RFC 3339.
pub fn moment(text: &str, _: &()) -> Verdict {
    text.parse::<Moment>().map(drop).map_err(|_| garde::Error::new("must be a time as in RFC 3339"))
}

/// The address of a picture that a browser may load.
pub fn https_url(text: &str, _: &()) -> Verdict {
    let parsed = text.parse::<http::Uri>().ok();
    let is_https =
        parsed.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
    if is_https && text.len() <= LONGEST_URL {
        Ok(())
    } else {
        no("must be an https URL of at most 2048 characters")
    }
}

/// A JSON object of the client's own.
pub fn metadata(map: &Map<String, Value>, _: &()) -> Verdict {
    let size = serde_json::to_vec(map).map_or(usize::MAX, |text| text.len());
    if size <= LARGEST_METADATA { Ok(()) } else { no("must have at most 16 KiB as JSON") }
}

/// Tells a field that is `null` (clear it) from one that is absent (leave it).
pub fn given<'de, D, T>(json: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(json).map(Some)
}

/// Applies a rule to a field that may be absent or `null`.
pub fn when_given<T: ?Sized, B: std::borrow::Borrow<T>>(
    rule: impl Fn(&T, &()) -> Verdict,
) -> impl Fn(&Option<Option<B>>, &()) -> Verdict {
    move |field, context| match field {
        Some(Some(value)) => rule(value.borrow(), context),
        _ => Ok(()),
    }
}

/// Applies a rule to a field that may be absent.
pub fn when_present<T: ?Sized, B: std::borrow::Borrow<T>>(
    rule: impl Fn(&T, &()) -> Verdict,
) -> impl Fn(&Option<B>, &()) -> Verdict {
    move |field, context| match field {
        Some(value) => rule(value.borrow(), context),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["user@example.com", "a+b@sub.example.co", "jürgen@müller.example"] {
            assert!(email(good, &()).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(250));
        for bad in ["user", "user@", "@example.com", "a b@example.com", "a@b@c.example", &long] {
            assert!(email(bad, &()).is_err(), "{bad}");
        }
    }

    #[test]
    fn phone_numbers() {
        for good in ["+1234567890", "+9876543210", "+4915112345678"] {
            assert!(phone_number(good, &()).is_ok(), "{good}");
        }
        for bad in ["", "1234567890", "+0123456789", "+12", "+1234567890123456", "+9991234567"] {
            assert!(phone_number(bad, &()).is_err(), "{bad}");
        }
    }

    #[test]
    fn pictures() {
        assert!(https_url("https://example.com/avatar.jpg", &()).is_ok());
        for bad in ["http://example.com/a.jpg", "javascript:alert(1)", "/a.jpg", "https://"] {
            assert!(https_url(bad, &()).is_err(), "{bad}");
        }
        assert!(https_url(&format!("https://a.example/{}", "x".repeat(2048)), &()).is_err());
    }

    #[test]
    fn own_data_has_a_limit() {
        let of =
            |length: usize| Map::from_iter([("k".to_owned(), Value::from("x".repeat(length)))]);
        assert!(metadata(&of(16 * 1024 - 8), &()).is_ok());
        assert!(metadata(&of(16 * 1024 - 7), &()).is_err());
    }
}
