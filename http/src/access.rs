//! Whether a caller may use an endpoint at all; what it may do there is the actors' business.

use crate::caller::{Caller, Credential};
use crate::endpoint::Access;
use crate::error::{Code, Error};

/// Holds the caller against the endpoint's declaration.
pub fn check(access: Access, caller: &Caller) -> Result<(), Error> {
    match (access, &caller.credential) {
        (Access::Service | Access::Public, _) => Ok(()),
        (Access::Session, Credential::Session(_)) => Ok(()),
        (Access::Permission(_), Credential::Operator) => Ok(()),
        (Access::Permission(permission), _) if caller.may(permission) => Ok(()),
        (Access::Permission(_), Credential::Anonymous) if caller.api_key.is_none() => {
            let message = "Send a secret key as X-API-Key: jsk_…";
            Err(Error::new(Code::AuthenticationRequired, message))
        }
        (Access::Permission(permission), _) => {
            let message = format!("The caller needs the permission {permission}");
            Err(Error::new(Code::InsufficientPermissions, message))
        }
        (Access::Session, _) => Err(Error::authentication_required()),
        (Access::Operator, Credential::Operator) => Ok(()),
        (Access::Operator, Credential::Session(_)) => Err(Error::only_the_operator()),
        (Access::Operator, Credential::Anonymous) => Err(Error::new(
            Code::AuthenticationRequired,
            "Send the operator token as Authorization: Bearer jop_…",
        )),
    }
}
