//! Other providers that vouch for a user (RFC 6749, OpenID Connect Core). Providers are never asked
//! here: the commands carry what a node has heard from them and checked.

mod arrive;
mod exchange;
mod flow;
mod identity;
mod link;

use serde::{Deserialize, Serialize};

pub use arrive::{Account, Arrival, Arrive, Then};
pub use exchange::{BoundExchange, CODE_TTL_MS, Exchange, Prove, Redeem};
pub use flow::{Begin, Claim, Flow, Purpose, Release};
pub use identity::{Identity, Unlink};
pub(crate) use identity::{count, forget, unlink_all};
pub use link::{Link, LinkByCode, Linked, Linking, Offer};

use crate::command::{Reply, Stop};
use crate::pkce::Proof;
use crate::state_machine::Step;

/// What can be done. Append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Turn a code into the session that it stands for.
    Redeem(Box<Redeem>),
    /// Send a browser to a provider.
    Begin(Box<Begin>),
    /// Take up a flow whose browser has come back.
    Claim(Claim),
    /// Give a flow back that could not be ended, because the provider did not answer.
    Release(Release),
    /// Let somebody in for whom a provider vouches.
    Arrive(Box<Arrive>),
    /// Make an account at a provider a way in to the account that asks for it.
    Link(Box<Link>),
    /// The same, left for the page that a browser was led back to.
    Offer(Box<Offer>),
    /// The same, by the page.
    LinkByCode(LinkByCode),
    /// Make it a way in no more.
    Unlink(Unlink),
    /// Turn a code into the session that it stands for, with the proof that it was asked for with.
    Prove(Box<Prove>),
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Redeem(command) => command.apply(step, Proof::None),
        Command::Begin(command) => command.apply(step),
        Command::Claim(command) => command.apply(step),
        Command::Release(command) => command.apply(step),
        Command::Arrive(command) => command.apply(step),
        Command::Link(command) => command.apply(step),
        Command::Offer(command) => command.apply(step),
        Command::LinkByCode(command) => command.apply(step),
        Command::Unlink(command) => command.apply(step),
        Command::Prove(command) => command.apply(step),
    }
}
