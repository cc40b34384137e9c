//! The cluster key, under which every tenant's secrets are sealed: made when a cluster is founded,
//! kept in the data folder, and there itself sealed when the operator gives something to seal it
//! with.
//!
//! Invariant: a key that is missing or does not open is an error, never a reason to make another:
//! what was sealed under it would be lost.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use janua_actors::clock::SharedClock;
use janua_storage::seal::{self, Key, Sealed};
use janua_storage::{codec, engine::Shards, ids::TenantNumber, view::View};

use crate::config::Storage;
use crate::failure::Failure;

const FILE: &str = "cluster.key";

/// What sealed values under a wrapping key are bound to.
const CONTEXT: &[u8] = b"janua cluster key";

/// What the file holds.
#[derive(serde::Serialize, serde::Deserialize)]
enum Kept {
    /// The key itself.
    Plain([u8; 32]),
    /// The key under what `storage.key_file` or `storage.key_secret` gives.
    Wrapped(Sealed),
}

/// The key of the cluster that `shards` belong to; made when the cluster is yet to be founded. When
/// what wraps it has been configured since, it is wrapped now.
pub async fn load(
    shards: &Shards,
    data_dir: &Path,
    storage: &Storage,
    clock: &SharedClock,
) -> Result<Key, Failure> {
    let path = data_dir.join(FILE);
    let wrapping = wrapping_key(storage)?;
    let key = match fs::read(&path) {
        Ok(bytes) => {
            let kept = codec::decode(&bytes).map_err(|error| unusable(&path, error))?;
            let (key, is_as_configured) = open(kept, wrapping.as_ref(), &path)?;
            if is_as_configured {
                return Ok(key);
            }
            tracing::info!("the cluster key is wrapped from now on");
            key
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if is_founded(shards).await? {
                let what = "it is missing, although the cluster exists: restore it";
                return Err(unusable(&path, what));
            }
            Key::new(clock.random())
        }
        Err(error) => return Err(unusable(&path, error)),
    };
    let kept = match wrapping {
        None => Kept::Plain(*key.expose()),
        Some(wrapping) => {
            let sealed = wrapping.seal(clock.random(), CONTEXT, key.expose());
            Kept::Wrapped(sealed.map_err(|error| unusable(&path, error))?)
        }
    };
    let bytes = codec::encode(&kept).map_err(|error| unusable(&path, error))?;
    write_durably(&path, &bytes).map_err(|error| unusable(&path, error))?;
    Ok(key)
}

/// The key, and whether it is kept as the configuration wants it.
fn open(kept: Kept, wrapping: Option<&Key>, path: &Path) -> Result<(Key, bool), Failure> {
    match (kept, wrapping) {
        (Kept::Plain(bytes), wrapping) => Ok((Key::new(bytes), wrapping.is_none())),
        (Kept::Wrapped(sealed), Some(wrapping)) => {
            let opened = wrapping.open(CONTEXT, &sealed).ok().and_then(|bytes| bytes.try_into().ok());
            let what = "storage.key_file or storage.key_secret is not the one that wrapped it";
            let bytes: [u8; 32] = opened.ok_or_else(|| unusable(path, what))?;
            Ok((Key::new(bytes), true))
        }
        (Kept::Wrapped(_), None) => {
            let what = "it is wrapped: give storage.key_file or storage.key_secret";
            Err(unusable(path, what))
        }
    }
}

fn wrapping_key(storage: &Storage) -> Result<Option<Key>, Failure> {
    let secret = match (&storage.key_file, &storage.key_secret) {
        (Some(file), _) => {
            let content = fs::read(file).map_err(|error| unusable(file, error))?;
            if content.len() < 32 {
                return Err(unusable(file, "storage.key_file must hold at least 32 bytes"));
            }
            content
        }
        (None, Some(secret)) => secret.expose().as_bytes().to_vec(),
        (None, None) => return Ok(None),
    };
    Ok(Some(Key::new(seal::mac(&secret, CONTEXT))))
}

async fn is_founded(shards: &Shards) -> Result<bool, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Start(error.to_string());
    let records = shards.of(TenantNumber::CLUSTER).read().await.map_err(|error| failed(&error))?;
    let view = View::new(&records, TenantNumber::CLUSTER);
    Ok(view.cluster().map_err(|error| failed(&error))?.is_some())
}

/// There whole or not at all, readable by this user alone.
fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside: PathBuf = path.with_extension("key.new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn unusable(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::Start(format!("{} cannot be used: {what}", path.display()))
}
