//! Phone numbers, parsed at the edge and trusted from then on.

use std::fmt;
use std::str::FromStr;

/// A number in the one form in which it is stored and compared: `+`, country code and national
/// number without anything between them (ITU-T E.164).
///
/// Decision: the country code must exist, and the number have a length that numbers have; whether
/// the country's plan has assigned it is for the network to say. Plans change faster than programs,
/// and documents are full of numbers that no plan has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// Not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be in E.164 form, like +14155550123")]
pub struct InvalidPhoneNumber;

impl PhoneNumber {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PhoneNumber {
    type Err = InvalidPhoneNumber;

    fn from_str(text: &str) -> Result<Self, InvalidPhoneNumber> {
        let digits = text.strip_prefix('+').ok_or(InvalidPhoneNumber)?;
        let formed = (7..=15).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && !digits.starts_with('0');
        let known = || phonenumber::parse(None, text).is_ok_and(|number| is_of_plan(&number));
        if formed && known() { Ok(Self(text.into())) } else { Err(InvalidPhoneNumber) }
    }
}

/// Whether its country code belongs to a country, or to a service that spans them.
fn is_of_plan(number: &phonenumber::PhoneNumber) -> bool {
    phonenumber::metadata::DATABASE.by_code(&number.code().value()).is_some()
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_plan_are_taken() {
        for text in ["+1234567890", "+9876543210", "+14155550123", "+4915112345678", "+80012345678"]
        {
            assert_eq!(text.parse::<PhoneNumber>().map(String::from), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_nobody_could_call_is_refused() {
        for text in [
            "",
            "+",
            "1234567890",
            "+0123456789",
            "+12",
            "+1234567890123456",
            "+12 345 6789",
            "+9991234567",
            "+2101234567",
            "tel:+14155550123",
            "+1415555012٣",
        ] {
            assert_eq!(text.parse::<PhoneNumber>(), Err(InvalidPhoneNumber), "{text}");
        }
    }
}
