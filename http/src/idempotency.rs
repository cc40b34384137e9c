//! `Idempotency-Key`: which requests count as the same one. What is done about it, the actors and
//! the state machine know.

use http::{HeaderMap, HeaderName, Method};
use janua_actors::context::{IdempotencyKey, Kept};
use sha2::{Digest, Sha256};

use crate::asked::Asked;
use crate::caller::Caller;
use crate::endpoint::Endpoint;
use crate::error::{Detail, Error};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST: usize = 255;

/// Whether a client has given one.
pub fn is_given(headers: &HeaderMap) -> bool {
    headers.contains_key(HEADER)
}

/// The key of a request that changes something, bound to its caller, its route, and what it asks for.
/// Clients give one with a `POST`. Where there is none and there are other nodes, it is the operation
/// id, so that the request can be made again when nobody knows what became of it.
pub fn of(
    asked: &Asked,
    endpoint: &Endpoint,
    caller: &Caller,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Error> {
    if !endpoint.changes() {
        return Ok(None);
    }
    let given = asked.headers.get_all(HEADER).iter();
    let mut given = given.filter(|_| asked.method == Method::POST);
    let (key, caller, kept) = match (given.next(), asked.operation) {
        (Some(key), _) => {
            let formed = |key: &&str| (1..=LONGEST).contains(&key.len());
            let key = key.to_str().ok().filter(formed).filter(|_| given.next().is_none());
            let Some(key) = key else {
                let message = "must be sent once, as 1 to 255 printable ASCII characters";
                return Err(Error::invalid(vec![Detail::new("Idempotency-Key", message)]));
            };
            (key.to_owned(), caller.name(), Kept::ForTheClient)
        }
        (None, Some(operation)) if !endpoint.repeats_safely => {
            (operation.to_string(), "operation".to_owned(), Kept::ForARetry)
        }
        (None, _) => return Ok(None),
    };
    let mut request = Sha256::new();
    request.update(asked.uri.path());
    if endpoint.spends {
        request.update(asked.uri.query().unwrap_or_default());
    }
    // A path holds no NUL, so no other pair of path and body reads the same.
    request.update([0]);
    request.update(body);
    Ok(Some(IdempotencyKey {
        key,
        caller,
        kept,
        route: format!("{} {}", endpoint.method, endpoint.path),
        request: request.finalize().into(),
    }))
}
