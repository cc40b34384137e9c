//! What goes with a user: every capability that keeps records of one names here how they are removed,
//! so that whoever deletes an account forgets none.

use crate::capability::{mfa, passkeys};
use crate::fault::Fault;
use crate::ids::UserId;
use crate::state_machine::Step;

/// Removes what one capability keeps of a user.
type Erase = fn(&mut Step<'_, '_>, UserId) -> Result<(), Fault>;

/// By capability, each once.
const ERASERS: [Erase; 2] = [mfa::erase, passkeys::erase];

/// Removes everything kept of a user but the account itself and its sessions.
pub(crate) fn all_of(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    ERASERS.iter().try_for_each(|erase| erase(step, user))
}
