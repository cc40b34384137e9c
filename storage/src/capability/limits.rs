//! How often something may be asked for one address. The counts lie in the records, so that they are
//! exact, the same on every node, and go on after a takeover; they are charged in the entry that they
//! limit.
//!
//! Decision: the arithmetic (GCRA, as everywhere else) stands here in a few lines, because `apply` may
//! know no clock, and the library that does it elsewhere reads one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{Rejection, Stop};
use crate::fault::Fault;
use crate::keys;
use crate::moment::Moment;
use crate::state_machine::Step;

/// What is counted. Append-only: its number is part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bucket {
    /// Asking for a new password.
    PasswordReset,
    /// Asking for a mail that verifies the address.
    EmailVerification,
    /// Asking for a magic link.
    MagicLink,
    /// Registering: limits the mails that it causes, and nothing else.
    Registration,
    /// Asking for a mail that verifies the address without being signed in: a stranger who does uses up
    /// nothing of the owner's.
    VerificationByAnybody,
}

impl Bucket {
    /// As the headers of an answer name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification | Self::VerificationByAnybody => "email_verification",
            Self::MagicLink => "magic_link",
            Self::Registration => "registration",
        }
    }
}

/// A burst of `count`, refilled evenly over `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    pub bucket: Bucket,
    /// So many; 0 for no limit.
    pub count: u32,
    /// In this time.
    pub window: Duration,
}

/// The count of one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// When all of the burst is back, Unix microseconds.
    full_at: u64,
}

/// What is left for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// What is counted.
    pub bucket: Bucket,
    /// The burst.
    pub limit: u32,
    /// What is left of it.
    pub remaining: u32,
    /// When all of it is back.
    pub full_at: Moment,
}

impl Counter {
    /// When the record means nothing any more.
    pub const fn expires(self) -> Moment {
        Moment(self.full_at.div_ceil(1000))
    }
}

impl Limit {
    /// Counts one for `address`, and says what is left; rejects it when nothing was.
    pub(crate) fn take(
        &self,
        step: &mut Step<'_, '_>,
        address: &str,
    ) -> Result<Option<Level>, Stop> {
        match self.charge(step, address)? {
            Some(Err(until)) => Err(Rejection::LimitReached { until }.into()),
            Some(Ok(level)) => Ok(Some(level)),
            None => Ok(None),
        }
    }

    /// Counts one for `address` if anything is left, and says whether it was.
    pub(crate) fn allows(&self, step: &mut Step<'_, '_>, address: &str) -> Result<bool, Fault> {
        Ok(!matches!(self.charge(step, address)?, Some(Err(_))))
    }

    fn charge(
        &self,
        step: &mut Step<'_, '_>,
        address: &str,
    ) -> Result<Option<Result<Level, Moment>>, Fault> {
        if self.count == 0 {
            return Ok(None);
        }
        let key = keys::counter(step.tenant, self.bucket as u8, address);
        let before = step.get::<Counter>(&key)?.map_or(0, |counter| counter.full_at);
        Ok(Some(match self.after_one_more(before, step.now) {
            Ok(full_at) => {
                let counter = Counter { full_at };
                step.put(key, &counter)?;
                Ok(self.level(counter, step.now))
            }
            Err(until) => Err(until),
        }))
    }

    /// What is left once nothing is, at the moment when the next one is taken again at `until`.
    pub fn exhausted(&self, until: Moment) -> Level {
        let spent = self.interval() * u64::from(self.count.saturating_sub(1));
        let full_at = Moment(until.0 + spent.div_ceil(1000));
        Level { bucket: self.bucket, limit: self.count, remaining: 0, full_at }
    }

    /// When the burst is whole again after one more; when one more fits, if it does not now.
    fn after_one_more(&self, full_at: u64, now: Moment) -> Result<u64, Moment> {
        let now = now.0.saturating_mul(1000);
        let next = full_at.max(now) + self.interval();
        let burst = self.interval() * u64::from(self.count);
        if next - now <= burst { Ok(next) } else { Err(Moment((next - burst).div_ceil(1000))) }
    }

    fn level(&self, counter: Counter, now: Moment) -> Level {
        let owed = counter.full_at.saturating_sub(now.0.saturating_mul(1000));
        let used = u32::try_from(owed.div_ceil(self.interval())).unwrap_or(u32::MAX);
        let remaining = self.count.saturating_sub(used);
        Level { bucket: self.bucket, limit: self.count, remaining, full_at: counter.expires() }
    }

    /// How long one takes to come back, microseconds.
    fn interval(&self) -> u64 {
        let window = u64::try_from(self.window.as_micros()).unwrap_or(u64::MAX);
        (window / u64::from(self.count.max(1))).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_736_937_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_burst_then_a_steady_refill() {
        let limit = Limit { bucket: Bucket::PasswordReset, count: 3, window: HOUR };
        let mut full_at = 0;
        for left in [2, 1, 0] {
            full_at = limit.after_one_more(full_at, NOW).expect("within the burst");
            let level = limit.level(Counter { full_at }, NOW);
            assert_eq!(level.remaining, left);
            let spent = HOUR * (3 - left) / 3;
            assert_eq!(level.full_at, NOW.after(spent));
        }
        let until = limit.after_one_more(full_at, NOW).expect_err("the burst is spent");
        assert_eq!(until, NOW.after(HOUR / 3));
        assert_eq!(limit.exhausted(until).full_at, NOW.after(HOUR));
        let later = limit.after_one_more(full_at, until).expect("one is back");
        assert_eq!(limit.after_one_more(later, until), Err(until.after(HOUR / 3)));
        let whole = limit.after_one_more(later, NOW.after(HOUR * 3)).expect("all are back");
        assert_eq!(limit.level(Counter { full_at: whole }, NOW.after(HOUR * 3)).remaining, 2);
    }

    #[test]
    fn a_rate_of_many_loses_nothing_to_rounding() {
        let limit = Limit { bucket: Bucket::MagicLink, count: 1_000_000, window: HOUR };
        let mut full_at = 0;
        for _ in 0..1000 {
            full_at = limit.after_one_more(full_at, NOW).expect("within the burst");
        }
        assert_eq!(limit.level(Counter { full_at }, NOW).remaining, 999_000);
    }
}
