//! `Idempotency-Key`: which requests count as the same one. What is done about it, the actors and
//! the state machine know.

use http::request::Parts;
use http::{HeaderName, Method};
use janua_actors::context::IdempotencyKey;
use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::endpoint::Endpoint;
use crate::error::{Detail, Error};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST: usize = 255;

/// The key of a `POST`, bound to its caller, its route, and what it asks for.
pub fn of(
    head: &Parts,
    endpoint: &Endpoint,
    caller: &Caller,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Error> {
    let Some(key) = head.headers.get(HEADER).filter(|_| head.method == Method::POST) else {
        return Ok(None);
    };
    let formed = |key: &&str| (1..=LONGEST).contains(&key.len());
    let Some(key) = key.to_str().ok().filter(formed) else {
        let message = "must be 1 to 255 visible ASCII characters";
        return Err(Error::invalid(vec![Detail::new("Idempotency-Key", message)]));
    };
    let mut request = Sha256::new();
    request.update(head.uri.path());
    // A path holds no NUL, so no other pair of path and body reads the same.
    request.update([0]);
    request.update(body);
    Ok(Some(IdempotencyKey {
        key: key.into(),
        caller: caller.name(),
        route: format!("{} {}", endpoint.method, endpoint.path),
        request: request.finalize().into(),
    }))
}
