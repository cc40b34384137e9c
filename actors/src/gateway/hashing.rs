//! Hashing for a request that is worked on at another node: there it is asked for, here it is done,
//! behind the same short queue as everything else that is hashed here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use janua_storage::capability::passwords::Password;
use janua_storage::codec;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::Origin;
use super::frame::Kind;
use crate::directory::Node;
use crate::hashing::{Plaintext, Verified};
use crate::refusal::Refusal;

#[derive(Serialize, Deserialize)]
struct Job {
    password: String,
    wanted: Wanted,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

#[derive(Serialize, Deserialize)]
enum Wanted {
    Hash,
    Comparison(Option<Password>),
}

#[derive(Serialize, Deserialize)]
enum Done {
    Hashed(String),
    Compared { matches: bool, rehashed: Option<String> },
    Busy { retry_after_ms: u64 },
    Failed(String),
}

impl Origin {
    /// The PHC string of a new password.
    pub async fn hash(&self, password: &Plaintext) -> Result<String, Refusal> {
        match self.ask(password, Wanted::Hash).await? {
            Done::Hashed(phc) => Ok(phc),
            done => Err(done.refusal()),
        }
    }

    /// Whether `password` is the stored one.
    pub async fn verify(
        &self,
        password: &Plaintext,
        stored: Option<Password>,
    ) -> Result<Verified, Refusal> {
        match self.ask(password, Wanted::Comparison(stored)).await? {
            Done::Compared { matches, rehashed } => Ok(Verified { matches, rehashed }),
            done => Err(done.refusal()),
        }
    }

    async fn ask(&self, password: &Plaintext, wanted: Wanted) -> Result<Done, Refusal> {
        let job = codec::encode(&Job { password: password.expose().into(), wanted })?;
        let (gateway, within) = (&self.gateway, self.left());
        let done = gateway.call(self.peer, Kind::Hash, job.into(), Bytes::new(), within).await;
        Ok(codec::decode(&done.map_err(Self::gone)?.bytes)?)
    }
}

impl Done {
    fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Overloaded { retry_after } => {
                let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
                Self::Busy { retry_after_ms }
            }
            refusal => Self::Failed(refusal.to_string()),
        }
    }

    fn refusal(self) -> Refusal {
        match self {
            Self::Busy { retry_after_ms } => {
                Refusal::Overloaded { retry_after: Duration::from_millis(retry_after_ms) }
            }
            Self::Failed(reason) => Refusal::unavailable(reason),
            Self::Hashed(_) | Self::Compared { .. } => {
                Refusal::unavailable("another hash was made than was asked for")
            }
        }
    }
}

/// Does what another node asks for.
pub(super) async fn work(node: &Arc<Node>, job: &[u8]) -> Option<Vec<u8>> {
    let mut job: Job = codec::decode(job).ok()?;
    let password = Plaintext::new(&job.password);
    let done = match std::mem::replace(&mut job.wanted, Wanted::Hash) {
        Wanted::Hash => node.hashing.hash(password, |_| Ok(())).await.map(Done::Hashed),
        Wanted::Comparison(stored) => {
            let compared = node.hashing.verify(password, stored).await;
            compared.map(|Verified { matches, rehashed }| Done::Compared { matches, rehashed })
        }
    };
    codec::encode(&done.unwrap_or_else(Done::of)).ok()
}
