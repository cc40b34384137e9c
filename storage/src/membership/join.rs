//! How a node without data becomes one of a cluster: it asks any member, and is given a number, the
//! cluster's key, and the addresses of the others.

use std::io;
use std::time::Duration;

use tokio::time::sleep;

use super::control::{Ask, Joined, Told};
use crate::capability::cluster::Join;
use crate::codec;
use crate::engine::link::wire::Hello;
use crate::engine::link::{self, Channel, Identity, IdentityError, Refused};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::version::{NEWEST, TooOld};

/// Between rounds through the members.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Why a node is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The cluster does not want it.
    #[error("the cluster does not take this node in: {0}")]
    Refused(String),
    /// It is older than what the cluster has agreed on.
    #[error("the cluster does not take this node in: {0}")]
    TooOld(#[from] TooOld),
    /// It cannot show who it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Asks the members at these addresses, in turn, until one takes the node in.
pub async fn join(
    members: &[String],
    secret: &Secret,
    now: Moment,
    ask: Join,
) -> Result<Joined, JoinError> {
    let identity = Identity::new(&secret.clone().into(), 0, now)?;
    let (address, speaks) = (ask.cluster_address.clone(), ask.version.data);
    let ask = Ask::Join(Box::new(ask));
    let (mut backoff, mut said) = (BACKOFF.0, None);
    loop {
        let (mut refused, mut problem) = (0, String::new());
        for member in members {
            match ask_one(&identity, member, &address, &ask).await {
                Ok((_, Told::Joined(joined))) => return Ok(*joined),
                Ok((agreed, Told::Refused(_))) if agreed > speaks => {
                    return Err(TooOld { speaks, agreed }.into());
                }
                Ok((_, Told::Refused(reason))) => return Err(JoinError::Refused(reason)),
                Ok((_, Told::Unavailable(reason))) => problem = format!("{member}: {reason}"),
                Ok(_) => problem = format!("{member}: it answers something else"),
                Err(error) => {
                    let refusal = error.get_ref().is_some_and(|error| error.is::<Refused>());
                    refused += usize::from(refusal);
                    problem = format!("{member}: {error}");
                }
            }
        }
        // Who is refused by all will be so again.
        if refused == members.len() {
            return Err(JoinError::Refused(problem));
        }
        if said.as_ref() != Some(&problem) {
            tracing::info!(problem, "waiting to be taken into the cluster");
            said = Some(problem);
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// What a member answers, and the version that its cluster has agreed on.
pub(super) async fn ask_one(
    identity: &Identity,
    member: &str,
    address: &str,
    ask: &Ask,
) -> io::Result<(u16, Told)> {
    let hello = Hello { cluster: None, from: 0, to: 0, data: NEWEST, address: address.to_owned() };
    let (mut stream, theirs) = link::connect(identity, member, Channel::Control, hello).await?;
    let request = codec::encode(ask).map_err(io::Error::other)?;
    let asked = link::exchange(&mut stream, &request);
    let answer = tokio::time::timeout(Duration::from_secs(15), asked).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let told = codec::decode(&answer).map_err(io::Error::other)?;
    Ok((theirs.data, told))
}
