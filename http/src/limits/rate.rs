//! A rate as an operator writes it: `10/min`, `1000/hour`, or `0` for no limit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A burst of `count`, refilled evenly over `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: u32,
    per: Duration,
}

impl Rate {
    /// No limit.
    pub const OFF: Self = Self { count: 0, per: Duration::from_secs(1) };

    /// `count` requests in each `per`; a count of zero switches the limit off.
    pub const fn new(count: u32, per: Duration) -> Self {
        Self { count, per }
    }

    /// The burst, in requests.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The window that refills a whole burst.
    pub const fn per(self) -> Duration {
        self.per
    }
}

const UNITS: [(&str, u64); 9] = [
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("m", 60),
    ("min", 60),
    ("minute", 60),
    ("h", 3600),
    ("hour", 3600),
    ("day", 86_400),
];

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a rate: write \"N/second\", \"N/min\", \"N/hour\" or \"N/day\", or \"0\" for no limit"
)]
pub struct InvalidRate(String);

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let invalid = || InvalidRate(text.into());
        if text.trim() == "0" {
            return Ok(Self::OFF);
        }
        let (count, unit) = text.split_once('/').ok_or_else(invalid)?;
        let count = count.trim().parse().map_err(|_| invalid())?;
        let unit = unit.trim();
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        Ok(Self::new(count, Duration::from_secs(*seconds)))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per.as_secs();
        let unit = ["second", "min", "hour", "day"]
            .into_iter()
            .find(|unit| UNITS.iter().any(|(name, length)| name == unit && *length == seconds));
        match unit {
            _ if self.count == 0 => f.write_str("0"),
            Some(unit) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{}/{seconds}s", self.count),
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidRate;

    fn try_from(text: String) -> Result<Self, InvalidRate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_survives_its_text() {
        for text in ["10/min", "3/hour", "1/second", "7/day", "0"] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!("0/min".parse(), Ok(Rate::new(0, Duration::from_secs(60))));
    }

    #[test]
    fn what_is_no_rate_says_what_one_is() {
        for text in ["", "10", "10/week", "-1/min", "x/min", "10/"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains("N/min"), "{error}");
        }
    }
}
