//! Points in time: Unix milliseconds inside, RFC 3339 in UTC outside.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// The last moment of the year 9999, behind which RFC 3339 has no words (§5.6).
const LAST_MS: u64 = 253_402_300_799_999;

/// Unix milliseconds. Written as `2025-01-15T10:30:00Z`: whole seconds, UTC.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Moment(pub u64);

impl Moment {
    /// Unix seconds, rounded down.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Later by `span`.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A text that is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time as in RFC 3339")]
pub struct InvalidMoment;

impl FromStr for Moment {
    type Err = InvalidMoment;

    /// What lies before 1970 is read as its beginning: nothing here is older.
    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        // `time` takes whatever stands between date and time.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
            return Err(InvalidMoment);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidMoment)?;
        let ms = time.unix_timestamp_nanos() / 1_000_000;
        let ms = u64::try_from(ms.max(0)).map_err(|_| InvalidMoment)?;
        if ms <= LAST_MS { Ok(Self(ms)) } else { Err(InvalidMoment) }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let written = Self(self.0.min(LAST_MS));
        let seconds = i64::try_from(written.unix_seconds()).unwrap_or_default();
        let text = OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|moment| moment.format(&form).ok())
            .ok_or(fmt::Error)?;
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_rfc_3339() {
        assert_eq!(Moment(1_736_937_000_999).to_string(), "2025-01-15T10:30:00Z");
        assert_eq!(Moment(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!("2025-01-15T11:30:00.999+01:00".parse(), Ok(Moment(1_736_937_000_999)));
        assert_eq!("2025-01-15".parse::<Moment>(), Err(InvalidMoment));
        assert_eq!("2025-01-15 10:30:00z".parse(), Ok(Moment(1_736_937_000_000)));
        assert_eq!("2025-01-15x10:30:00Z".parse::<Moment>(), Err(InvalidMoment));
    }

    #[test]
    fn time_begins_in_1970_and_ends_with_the_year_9999() {
        assert_eq!("1969-12-31T23:59:59Z".parse(), Ok(Moment(0)));
        assert_eq!("0000-01-01T00:00:00Z".parse(), Ok(Moment(0)));
        let last = Moment(LAST_MS);
        assert_eq!("9999-12-31T23:59:59.999Z".parse(), Ok(last));
        assert_eq!("9999-12-31T23:59:59-01:00".parse::<Moment>(), Err(InvalidMoment));
        assert_eq!(last.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Moment(u64::MAX).to_string(), last.to_string());
    }
}
