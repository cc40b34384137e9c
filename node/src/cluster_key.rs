//! Which key wraps the cluster key, and when the cluster key may be made anew.
//!
//! Invariant: on a cluster that exists, a missing key is an error and never a reason to make
//! another: what was sealed under it would be lost.

use std::fs;
use std::path::Path;

use janua_actors::clock::SharedClock;
use janua_storage::cluster_key;
use janua_storage::engine::Shards;
use janua_storage::ids::TenantNumber;
use janua_storage::seal::{self, Key};
use janua_storage::view::View;
use zeroize::Zeroizing;

use crate::config::Storage;
use crate::failure::Failure;

/// The fewest bytes that `storage.key_file` must hold.
const SHORTEST: usize = 32;

/// The key of the cluster that `shards` belong to; made when the cluster is yet to be founded.
pub async fn load(
    shards: &Shards,
    data_dir: &Path,
    storage: &Storage,
    clock: &SharedClock,
) -> Result<Key, Failure> {
    let wrapping = wrapping_key(storage)?;
    let fresh = !is_founded(shards).await?;
    let random = Zeroizing::new(clock.random());
    cluster_key::open(data_dir, wrapping.as_ref(), fresh, &random).map_err(Failure::start)
}

fn wrapping_key(storage: &Storage) -> Result<Option<Key>, Failure> {
    let secret = match (&storage.key_file, &storage.key_secret) {
        (Some(file), _) => {
            let unusable = |problem: String| {
                Failure::Start(format!("storage.key_file {}: {problem}", file.display()))
            };
            let content = fs::read(file).map_err(|error| unusable(error.to_string()))?;
            if content.len() < SHORTEST {
                return Err(unusable(format!("must hold at least {SHORTEST} bytes")));
            }
            Zeroizing::new(content)
        }
        (None, Some(secret)) => Zeroizing::new(secret.expose().as_bytes().to_vec()),
        (None, None) => return Ok(None),
    };
    Ok(Some(Key::new(seal::mac(&secret, b"wrapping key of the cluster key"))))
}

async fn is_founded(shards: &Shards) -> Result<bool, Failure> {
    let records = shards.of(TenantNumber::CLUSTER).read().await.map_err(Failure::start)?;
    let view = View::new(&records, TenantNumber::CLUSTER);
    Ok(view.cluster().map_err(Failure::start)?.is_some())
}
