//! The cluster's key, under which the keys of tenants are sealed. It lies in a file of its own:
//! bare, unless a wrapping key from outside the data folder is configured.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec;
use crate::seal::{Key, Sealed};

const FILE: &str = "cluster.key";
const CONTEXT: &[u8] = b"cluster key";

/// Why there is no cluster key.
#[derive(Debug, thiserror::Error)]
pub enum ClusterKeyError {
    /// The file cannot be read or written.
    #[error("cluster key {path} cannot be used: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The file is gone, but the data that needs it is there.
    #[error(
        "cluster key {path} is missing, and without it the data folder cannot be read: restore it \
         from where you keep a copy",
        path = .0.display()
    )]
    Missing(PathBuf),
    /// The wrapping key is another one, or was not given.
    #[error("cluster key {path} does not open: {problem}", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
enum Stored {
    Bare([u8; 32]),
    Wrapped(Sealed),
}

/// Reads the cluster's key from the data folder; `fresh` makes one of `random` on a new folder. The
/// file is readable by its owner alone.
pub fn open(
    data_dir: &Path,
    wrapping: Option<&Key>,
    fresh: bool,
    random: &Zeroizing<[u8; 44]>,
) -> Result<Key, ClusterKeyError> {
    let path = data_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => unwrap(&path, &Zeroizing::new(bytes), wrapping),
        Err(error) if error.kind() == ErrorKind::NotFound && fresh => {
            create(&path, wrapping, random)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ClusterKeyError::Missing(path)),
        Err(error) => Err(ClusterKeyError::File { path, problem: error.to_string() }),
    }
}

/// Wraps the cluster's key anew, if it is there and lies bare or as it was wrapped before. One that
/// opens under neither is left as it is: opening it tells what is wrong.
pub fn rewrap(
    data_dir: &Path,
    wrapping: Option<&Key>,
    previous: Option<&Key>,
    nonce: [u8; 12],
) -> Result<(), ClusterKeyError> {
    let path = data_dir.join(FILE);
    let Ok(bytes) = fs::read(&path).map(Zeroizing::new) else { return Ok(()) };
    let is_bare = matches!(codec::decode(&bytes), Ok(Stored::Bare(_)));
    let as_wanted = unwrap(&path, &bytes, wrapping).is_ok() && is_bare == wrapping.is_none();
    match unwrap(&path, &bytes, previous).or_else(|_| unwrap(&path, &bytes, None)) {
        Ok(key) if !as_wanted && (!is_bare || wrapping.is_some()) => {
            keep(data_dir, &key, wrapping, nonce)
        }
        _ => Ok(()),
    }
}

/// Writes a cluster's key into a data folder, in place of one that is there.
pub fn keep(
    data_dir: &Path,
    key: &Key,
    wrapping: Option<&Key>,
    nonce: [u8; 12],
) -> Result<(), ClusterKeyError> {
    put(&data_dir.join(FILE), key.expose(), wrapping, nonce)
}

fn unwrap(path: &Path, bytes: &[u8], wrapping: Option<&Key>) -> Result<Key, ClusterKeyError> {
    let locked = |problem: &str| ClusterKeyError::Locked {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let stored = codec::decode(bytes).map_err(|_| locked("the file is damaged"))?;
    match (stored, wrapping) {
        (Stored::Bare(key), _) => Ok(Key::new(key)),
        (Stored::Wrapped(_), None) => Err(locked("it is wrapped, and no wrapping key is given")),
        (Stored::Wrapped(sealed), Some(wrapping)) => {
            let opened = wrapping.open(CONTEXT, &sealed);
            let bytes = opened.map_err(|_| locked("it was wrapped under another key"))?;
            let bytes = bytes.try_into().map_err(|_| locked("the file is damaged"))?;
            Ok(Key::new(bytes))
        }
    }
}

fn create(
    path: &Path,
    wrapping: Option<&Key>,
    random: &Zeroizing<[u8; 44]>,
) -> Result<Key, ClusterKeyError> {
    let (mut bytes, mut nonce) = ([0; 32], [0; 12]);
    bytes.copy_from_slice(&random[..32]);
    nonce.copy_from_slice(&random[32..]);
    put(path, &bytes, wrapping, nonce)?;
    Ok(Key::new(bytes))
}

fn put(
    path: &Path,
    bytes: &[u8; 32],
    wrapping: Option<&Key>,
    nonce: [u8; 12],
) -> Result<(), ClusterKeyError> {
    let problem = |problem: String| ClusterKeyError::File { path: path.to_owned(), problem };
    let stored = match wrapping {
        Some(wrapping) => Stored::Wrapped(
            wrapping.seal(nonce, CONTEXT, bytes).map_err(|fault| problem(fault.to_string()))?,
        ),
        None => Stored::Bare(*bytes),
    };
    let content = codec::encode(&stored).map_err(|fault| problem(fault.to_string()))?;
    write(path, &Zeroizing::new(content)).map_err(|error| problem(error.to_string()))
}

/// Invariant: the key is on disk, under its own name, before anything is sealed by it.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_only_under_its_wrapping_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let random = Zeroizing::new([7; 44]);
        let (right, wrong) = (Key::new([1; 32]), Key::new([2; 32]));
        assert!(matches!(
            open(folder.path(), Some(&right), false, &random),
            Err(ClusterKeyError::Missing(_))
        ));
        let made = open(folder.path(), Some(&right), true, &random).expect("a new key");
        let again = Zeroizing::new([8; 44]);
        assert!(open(folder.path(), Some(&right), true, &again).expect("the key") == made);
        for other in [None, Some(&wrong)] {
            let refused = open(folder.path(), other, true, &again);
            assert!(matches!(refused, Err(ClusterKeyError::Locked { .. })));
        }
    }

    #[test]
    fn a_key_is_wrapped_anew_when_its_wrapping_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let random = Zeroizing::new([7; 44]);
        let (old, new) = (Key::new([1; 32]), Key::new([2; 32]));
        let opens = |wrapping: Option<&Key>| open(folder.path(), wrapping, false, &random);
        let rewraps = |wrapping: Option<&Key>, previous: Option<&Key>| {
            rewrap(folder.path(), wrapping, previous, [3; 12]).expect("a file that can be written");
        };
        let made = open(folder.path(), None, true, &random).expect("a bare key");
        rewraps(Some(&old), None);
        assert!(opens(Some(&old)).expect("the key") == made);
        assert!(opens(None).is_err(), "it lies bare no more");
        rewraps(Some(&new), None);
        assert!(opens(Some(&new)).is_err(), "nobody has shown what it was wrapped by");
        rewraps(Some(&new), Some(&old));
        assert!(opens(Some(&new)).expect("the key") == made);
        assert!(opens(Some(&old)).is_err(), "the old wrapping opens nothing any more");
        rewraps(None, None);
        assert!(opens(Some(&new)).expect("the key") == made, "it stays as it is");
    }
}
