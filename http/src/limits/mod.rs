//! How often a client may call. Each bucket holds a burst and refills evenly; what a request is
//! counted in stands in its endpoint's declaration.

pub mod counted;
pub mod key;
mod meter;
pub mod rate;
pub mod ticks;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::Clock;

use crate::endpoint::Limit;
use crate::error::Error;
use crate::settings::Rates;

use key::{Key, Network};
use meter::{Level, Meter};
use rate::Rate;
use ticks::Ticks;

/// Buckets kept in memory, at most, per meter.
const MOST_KEYS: usize = 500_000;

/// Distinct rates that API keys may have of their own; beyond them the default rate applies.
const MOST_RATES: usize = 256;

/// Who is counted.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    /// The tenant's number: tenants share no bucket.
    pub tenant: u32,
    /// The client's address.
    pub network: Network,
    /// The owner of the `api` bucket.
    pub api: Key,
    /// The API key's own rate, if it has one.
    pub api_rate: Option<Rate>,
}

impl Who {
    /// A client that has shown nothing but its address.
    pub fn anonymous(tenant: u32, network: Network) -> Self {
        Self { tenant, network, api: Key::of_network(tenant, network), api_rate: None }
    }
}

/// The bucket that a response shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub bucket: &'static str,
    /// Its burst.
    pub limit: u32,
    /// What is left.
    pub remaining: u32,
    /// When it is full again, in Unix seconds.
    pub reset: u64,
}

/// Every bucket's name.
const BUCKETS: [&str; 6] =
    ["auth", "api", "password_reset", "email_verification", "magic_link", "webhook_delivery"];

impl Shown {
    /// The name of a bucket, as another node has written it.
    pub fn bucket_named(name: &str) -> &'static str {
        BUCKETS.into_iter().find(|known| *known == name).unwrap_or("api")
    }
}

/// All buckets of this node.
pub struct Limits {
    ticks: Ticks,
    authentication: Option<Meter>,
    api: Option<Meter>,
    own_rates: DashMap<Rate, Option<Arc<Meter>>>,
}

impl Limits {
    /// Full buckets at these rates.
    pub fn new(rates: &Rates, ticks: Ticks) -> Self {
        Self {
            authentication: Meter::new(rates.authentication, ticks.clone()),
            api: Meter::new(rates.api, ticks.clone()),
            own_rates: DashMap::new(),
            ticks,
        }
    }

    /// Counts a request, and says which bucket its response shows.
    pub fn take(&self, limit: Limit, who: &Who) -> (Option<Shown>, Result<(), Error>) {
        match limit {
            Limit::Free => (self.peek(who), Ok(())),
            Limit::Authentication => {
                let key = Key::of_network(who.tenant, who.network);
                self.charge("auth", self.authentication.as_ref(), &key)
            }
            Limit::Api => match self.own_meter(who) {
                Some(own) => self.charge("api", own.as_deref(), &who.api),
                None => self.charge("api", self.api.as_ref(), &who.api),
            },
        }
    }

    /// The `api` bucket, uncharged.
    pub fn peek(&self, who: &Who) -> Option<Shown> {
        match self.own_meter(who) {
            Some(own) => own.map(|meter| self.shown("api", meter.level(&who.api))),
            None => self.api.as_ref().map(|meter| self.shown("api", meter.level(&who.api))),
        }
    }

    /// Forgets what need not be remembered; to be called every minute or so.
    pub fn tidy(&self) {
        let meters = [&self.authentication, &self.api];
        meters.into_iter().flatten().for_each(|meter| meter.tidy(MOST_KEYS));
        self.own_rates.iter().filter_map(|own| own.clone()).for_each(|own| own.tidy(MOST_KEYS));
        self.own_rates.retain(|_, own| own.as_ref().is_some_and(|own| own.len() > 0));
    }

    fn charge(
        &self,
        bucket: &'static str,
        meter: Option<&Meter>,
        key: &Key,
    ) -> (Option<Shown>, Result<(), Error>) {
        let Some(meter) = meter else { return (None, Ok(())) };
        let taken = meter.take(key).map_err(|exhausted| Error::rate_limited(exhausted.0));
        (Some(self.shown(bucket, meter.level(key))), taken)
    }

    fn shown(&self, bucket: &'static str, level: Level) -> Shown {
        let full_at = self.ticks.now() + level.full_in;
        let reset = full_at.as_secs() + u64::from(full_at > whole_seconds(full_at));
        Shown { bucket, limit: level.limit, remaining: level.remaining, reset }
    }

    /// The meter of the caller's own rate: `None` when it has none, `Some(None)` when that is off.
    fn own_meter(&self, who: &Who) -> Option<Option<Arc<Meter>>> {
        let rate = who.api_rate?;
        if let Some(own) = self.own_rates.get(&rate) {
            return Some(own.clone());
        }
        if self.own_rates.len() >= MOST_RATES {
            return None;
        }
        let meter = || Meter::new(rate, self.ticks.clone()).map(Arc::new);
        Some(self.own_rates.entry(rate).or_insert_with(meter).clone())
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn who(tenant: u32, last: u8) -> Who {
        Who::anonymous(tenant, Network::of([192, 0, 2, last].into()))
    }

    fn limits(authentication: &str, api: &str) -> (Limits, impl Fn(Duration)) {
        let (ticks, advance) = ticks::manual();
        let rates =
            Rates { authentication: authentication.parse().unwrap(), api: api.parse().unwrap() };
        (Limits::new(&rates, ticks), advance)
    }

    #[test]
    fn each_tenant_and_each_client_has_its_own_bucket() {
        let (limits, _) = limits("1/min", "5/min");
        assert!(limits.take(Limit::Authentication, &who(1, 1)).1.is_ok());
        let (shown, refused) = limits.take(Limit::Authentication, &who(1, 1));
        assert_eq!(refused.unwrap_err().code(), Code::RateLimitExceeded);
        assert_eq!(shown.map(|shown| (shown.bucket, shown.remaining)), Some(("auth", 0)));
        assert!(limits.take(Limit::Authentication, &who(1, 2)).1.is_ok());
        assert!(limits.take(Limit::Authentication, &who(2, 1)).1.is_ok());
        assert!(limits.take(Limit::Api, &who(1, 1)).1.is_ok());
    }

    #[test]
    fn reset_is_when_the_bucket_is_full_again() {
        let (limits, advance) = limits("10/min", "5/min");
        let now = limits.ticks.now().as_secs();
        let (shown, _) = limits.take(Limit::Api, &who(1, 1));
        assert_eq!(shown, Some(Shown { bucket: "api", limit: 5, remaining: 4, reset: now + 12 }));
        advance(Duration::from_millis(500));
        let (shown, _) = limits.take(Limit::Api, &who(1, 1));
        assert_eq!(shown.map(|shown| shown.reset), Some(now + 24));
    }

    #[test]
    fn a_limit_that_is_off_shows_nothing_and_refuses_nothing() {
        let (limits, _) = limits("0", "0");
        for _ in 0..100 {
            let (shown, taken) = limits.take(Limit::Authentication, &who(1, 1));
            assert!(shown.is_none() && taken.is_ok());
        }
        assert_eq!(limits.peek(&who(1, 1)), None);
    }

    #[test]
    fn an_api_key_may_have_a_rate_of_its_own() {
        let (limits, _) = limits("10/min", "1/min");
        let own = Who { api_rate: Some("3/min".parse().unwrap()), ..who(1, 1) };
        let unlimited = Who { api_rate: Some(Rate::OFF), ..who(1, 2) };
        for left in [2, 1, 0] {
            let (shown, taken) = limits.take(Limit::Api, &own);
            assert!(taken.is_ok());
            assert_eq!(shown.map(|shown| (shown.limit, shown.remaining)), Some((3, left)));
        }
        assert!(limits.take(Limit::Api, &own).1.is_err());
        assert!((0..50).all(|_| limits.take(Limit::Api, &unlimited).1.is_ok()));
    }
}
