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

/// What wraps the cluster's key.
#[derive(Debug, Clone, Default)]
pub struct Wrapping {
    /// From now on; without it, the key lies bare.
    pub present: Option<Key>,
    /// Before; needed for one start, after which the key is wrapped by the present one.
    pub previous: Option<Key>,
}

/// Reads the cluster's key from the data folder; `fresh` makes one of `random` on a new folder. The
/// file is readable by its owner alone. A key that is bare, or wrapped as before, is wrapped anew.
pub fn open(
    data_dir: &Path,
    wrapping: &Wrapping,
    fresh: bool,
    random: &Zeroizing<[u8; 44]>,
) -> Result<Key, ClusterKeyError> {
    let path = data_dir.join(FILE);
    let Wrapping { present, previous } = wrapping;
    let wrapping = present.as_ref();
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&random[32..]);
    match fs::read(&path).map(Zeroizing::new) {
        Ok(bytes) => {
            let opened = unwrap(&path, &bytes, wrapping);
            let (key, is_bare) = match (opened, previous) {
                (Err(ClusterKeyError::Locked { .. }), Some(previous)) => {
                    let (key, _) = unwrap(&path, &bytes, Some(previous))?;
                    put(&path, key.expose(), wrapping, nonce)?;
                    return Ok(key);
                }
                (opened, _) => opened?,
            };
            if is_bare && wrapping.is_some() {
                put(&path, key.expose(), wrapping, nonce)?;
            }
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::NotFound && fresh => {
            create(&path, wrapping, random)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ClusterKeyError::Missing(path)),
        Err(error) => Err(ClusterKeyError::File { path, problem: error.to_string() }),
    }
}

/// The key, and whether it lay bare.
fn unwrap(
    path: &Path,
    bytes: &[u8],
    wrapping: Option<&Key>,
) -> Result<(Key, bool), ClusterKeyError> {
    let locked = |problem: &str| ClusterKeyError::Locked {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let stored = codec::decode(bytes).map_err(|_| locked("the file is damaged"))?;
    match (stored, wrapping) {
        (Stored::Bare(key), _) => Ok((Key::new(key), true)),
        (Stored::Wrapped(_), None) => Err(locked("it is wrapped, and no wrapping key is given")),
        (Stored::Wrapped(sealed), Some(wrapping)) => {
            let opened = wrapping.open(CONTEXT, &sealed);
            let bytes = opened.map_err(|_| locked("it was wrapped under another key"))?;
            let bytes = bytes.try_into().map_err(|_| locked("the file is damaged"))?;
            Ok((Key::new(bytes), false))
        }
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
        let by = |key: &Key| Wrapping { present: Some(key.clone()), previous: None };
        assert!(matches!(
            open(folder.path(), &by(&right), false, &random),
            Err(ClusterKeyError::Missing(_))
        ));
        let made = open(folder.path(), &by(&right), true, &random).expect("a new key");
        let again = Zeroizing::new([8; 44]);
        assert!(open(folder.path(), &by(&right), true, &again).expect("the key") == made);
        for other in [Wrapping::default(), by(&wrong)] {
            let refused = open(folder.path(), &other, true, &again);
            assert!(matches!(refused, Err(ClusterKeyError::Locked { .. })));
        }
    }

    #[test]
    fn a_key_is_wrapped_anew_when_its_wrapping_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let random = Zeroizing::new([7; 44]);
        let (old, new) = (Key::new([1; 32]), Key::new([2; 32]));
        let wrapping = |present: &Key, previous: Option<&Key>| Wrapping {
            present: Some(present.clone()),
            previous: previous.cloned(),
        };
        let opens = |wrapping: &Wrapping| open(folder.path(), wrapping, false, &random);
        let made = open(folder.path(), &Wrapping::default(), true, &random).expect("a bare key");
        assert!(opens(&wrapping(&old, None)).expect("the key") == made);
        assert!(opens(&Wrapping::default()).is_err(), "it lies bare no more");
        assert!(opens(&wrapping(&new, None)).is_err());
        assert!(opens(&wrapping(&new, Some(&old))).expect("the key") == made);
        assert!(opens(&wrapping(&new, None)).expect("the key") == made);
        assert!(opens(&wrapping(&old, None)).is_err(), "the old wrapping opens nothing more");
    }
}
