//! Who calls, for which tenant: read from the request's headers, confirmed by the actors.

use http::HeaderMap;

use crate::error::Error;
use crate::limits::Who;
use crate::limits::key::Network;

/// The caller of a request.
pub struct Caller {
    /// What it has shown.
    pub credential: Credential,
}

/// What a caller has shown, and the actors confirmed.
pub enum Credential {
    /// Nothing.
    Anonymous,
    /// The access token of a live session.
    Session(()),
    /// The operator token.
    Operator,
}

impl Caller {
    pub fn who(&self, network: Network) -> Who {
        Who::anonymous(1, network)
    }
}

/// Confirms what the headers claim.
pub async fn resolve(_headers: &HeaderMap) -> Result<Caller, Error> {
    Ok(Caller { credential: Credential::Anonymous })
}
