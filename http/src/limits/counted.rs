//! The buckets of mail addresses. They are counted where their mails are posted, in the replicated
//! state; here they are only shown.

use janua_storage::capability::limits::Level;

use super::Shown;
use crate::error::Error;
use crate::input::Schemas;
use crate::output::{Output, Response};

/// An answer to a request that was counted for an address.
pub struct Counted<O>(pub O, pub Option<Level>);

impl<O: Output> Output for Counted<O> {
    fn respond(self) -> Result<Response, Error> {
        let Self(output, level) = self;
        let mut response = output.respond()?;
        if let Some(level) = level {
            response.extensions_mut().insert(Shown::from(level));
        }
        Ok(response)
    }

    fn describe(schemas: &mut Schemas) -> (http::StatusCode, utoipa::openapi::Response) {
        O::describe(schemas)
    }
}

impl From<Level> for Shown {
    fn from(level: Level) -> Self {
        let Level { bucket, limit, remaining, full_at } = level;
        Self { bucket: bucket.name(), limit, remaining, reset: full_at.0.div_ceil(1000) }
    }
}

/// Of two buckets that a request was counted in, the one nearest to its end; of two that are equally
/// near, the one that takes longer to fill.
pub fn nearest(one: Option<Shown>, other: Option<Shown>) -> Option<Shown> {
    let nearness = |shown: &Shown| (shown.remaining, std::cmp::Reverse(shown.reset));
    [one, other].into_iter().flatten().min_by_key(nearness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_nearest_to_its_end_is_shown() {
        let shown = |bucket, remaining, reset| Shown { bucket, limit: 10, remaining, reset };
        let (auth, reset) = (shown("auth", 9, 6), shown("password_reset", 2, 1200));
        assert_eq!(nearest(Some(auth), Some(reset)), Some(reset));
        let spent = shown("auth", 1, 60);
        assert_eq!(nearest(Some(spent), Some(reset)), Some(spent));
        let even = shown("auth", 2, 60);
        assert_eq!(nearest(Some(even), Some(reset)), Some(reset));
        assert_eq!(nearest(None, Some(reset)), Some(reset));
        assert_eq!(nearest(Some(auth), None), Some(auth));
    }
}
