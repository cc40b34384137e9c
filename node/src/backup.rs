//! `janua backup`: everything that a cluster has, in one encrypted file, while it serves.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use janua_actors::clock::{Clock, SystemClock};
use janua_storage::backup::Checksum;
use janua_storage::backup::recovery_key::{RecoveryKey, RecoveryPublicKey};
use reqwest::Method;
use serde_json::json;

use crate::failure::Failure;
use crate::offline::{block_on, failed};
use crate::output::{print, tell};
use crate::remote::{Node, Remote};

/// How often progress is told.
const EVERY: Duration = Duration::from_secs(1);

/// `janua backup`
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to write; it must not exist
    file: PathBuf,
    /// The recovery key that the backup is encrypted to.
    #[command(flatten)]
    key: KeySource,
    /// Encrypt to another recovery key from now on; drawn and printed unless one is given
    #[arg(long)]
    new_recovery_key: bool,
    /// Which node to ask.
    #[command(flatten)]
    remote: Remote,
    /// Print one JSON line for each thing to know, instead of text
    #[arg(long)]
    json: bool,
}

/// Where a recovery key comes from: a file, or the variable JANUA_RECOVERY_KEY.
#[derive(Debug, Args)]
pub struct KeySource {
    /// A file with the recovery key, jrk_…; without it, JANUA_RECOVERY_KEY
    #[arg(long, value_name = "FILE", env = "JANUA_RECOVERY_KEY_FILE")]
    recovery_key_file: Option<PathBuf>,
}

impl KeySource {
    /// The key, if one is given.
    pub fn read(&self) -> Result<Option<RecoveryKey>, Failure> {
        let (text, from) = match &self.recovery_key_file {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    failed(format!("recovery key {} cannot be read: {error}", path.display()))
                })?;
                (text, path.display().to_string())
            }
            None => match std::env::var("JANUA_RECOVERY_KEY") {
                Ok(text) if !text.is_empty() => (text, "JANUA_RECOVERY_KEY".to_owned()),
                _ => return Ok(None),
            },
        };
        let text = zeroize::Zeroizing::new(text);
        text.parse().map(Some).map_err(|error| Failure::Usage(format!("{from}: {error}")))
    }
}

/// What a backup came to.
struct Taken {
    bytes: u64,
    sha256: String,
}

/// Takes a backup.
pub fn run(command: &Backup) -> Result<(), Failure> {
    let file = &command.file;
    if file.exists() {
        return Err(failed(format!("{} exists already", file.display())));
    }
    let given = command.key.read()?;
    let node = command.remote.node()?;
    block_on(async {
        let to = agree(&node, given, command).await?;
        let taken = take(&node, file).await?;
        let fingerprint = to.fingerprint();
        print(&match command.json {
            true => format!(
                "{}\n",
                json!({
                    "event": "backup",
                    "file": file,
                    "bytes": taken.bytes,
                    "sha256": taken.sha256,
                    "recoveryKeyFingerprint": fingerprint,
                })
            ),
            false => format!(
                "{}: {} bytes, encrypted to the recovery key {fingerprint}\nSHA-256 {}\n",
                file.display(),
                taken.bytes,
                taken.sha256
            ),
        })
    })
}

/// The recovery key that the cluster encrypts to; at the first backup, one is drawn and shown.
async fn agree(
    node: &Node,
    given: Option<RecoveryKey>,
    command: &Backup,
) -> Result<RecoveryPublicKey, Failure> {
    let path = "/admin/backup/recovery-key";
    let known = node.data(node.request(Method::GET, path)).await?;
    let known = known["publicKey"].as_str().map(str::parse::<RecoveryPublicKey>).transpose();
    let known = known.map_err(|_| failed("the node has a recovery key that is none"))?;
    let wanted = given.as_ref().map(RecoveryKey::public).transpose().map_err(failed)?;
    match (known, wanted) {
        (Some(known), None) if !command.new_recovery_key => return Ok(known),
        (Some(known), Some(wanted)) if known == wanted => return Ok(known),
        (Some(known), Some(wanted)) if !command.new_recovery_key => {
            return Err(failed(format!(
                "backups of this cluster are encrypted to the recovery key {}, and {} was given: \
                 --new-recovery-key changes that",
                known.fingerprint(),
                wanted.fingerprint()
            )));
        }
        _ => {}
    }
    let public = match wanted {
        Some(wanted) => wanted,
        None => draw(command.json)?,
    };
    let body = json!({ "publicKey": public.to_string(), "replace": command.new_recovery_key });
    node.data(node.request(Method::PUT, path).json(&body)).await?;
    Ok(public)
}

/// A new key, shown before anything is encrypted to it: whoever did not see it could open nothing.
fn draw(json: bool) -> Result<RecoveryPublicKey, Failure> {
    let clock: &dyn Clock = &SystemClock::default();
    let key = RecoveryKey::new(clock.random());
    let public = key.public().map_err(failed)?;
    let shown = key.expose();
    print(&match json {
        true => format!(
            "{}\n",
            json!({
                "event": "recoveryKey",
                "recoveryKey": *shown,
                "fingerprint": public.fingerprint(),
            })
        ),
        false => format!(
            "This recovery key opens the cluster's backups. It is shown this once; keep it apart from \
             them:\n\n  {}\n\n",
            *shown
        ),
    })?;
    Ok(public)
}

/// Under another name until it is whole.
async fn take(node: &Node, file: &Path) -> Result<Taken, Failure> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let unwritten =
        |error: std::io::Error| failed(format!("{} cannot be written: {error}", partial.display()));
    let mut options = OpenOptions::new();
    let out = options.write(true).create(true).truncate(true).mode(0o600).open(&partial);
    let written = copy(node, out.map_err(unwritten)?).await.map_err(|trouble| match trouble {
        Trouble::Failure(failure) => failure,
        Trouble::Io(error) => unwritten(error),
    });
    match written {
        Ok(taken) => {
            fs::rename(&partial, file).map_err(unwritten)?;
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = File::open(folder.unwrap_or(Path::new(".")));
            folder.and_then(|folder| folder.sync_all()).map_err(unwritten)?;
            Ok(taken)
        }
        Err(failure) => {
            // A half backup is of no use to anyone.
            drop(fs::remove_file(&partial));
            Err(failure)
        }
    }
}

enum Trouble {
    Failure(Failure),
    Io(std::io::Error),
}

async fn copy(node: &Node, mut out: File) -> Result<Taken, Trouble> {
    let request = node.request(Method::GET, "/admin/backup");
    let mut response = node.send(request).await.map_err(Trouble::Failure)?;
    let mut checksum = Checksum::default();
    let (mut bytes, mut told) = (0, Instant::now());
    let tells = std::io::stderr().is_terminal();
    while let Some(piece) =
        response.chunk().await.map_err(|error| Trouble::Failure(node.broken(&error)))?
    {
        out.write_all(&piece).map_err(Trouble::Io)?;
        checksum.add(&piece);
        bytes += piece.len() as u64;
        if tells && told.elapsed() >= EVERY {
            told = Instant::now();
            tell(&format!("{} MiB so far", bytes >> 20));
        }
    }
    out.sync_all().map_err(Trouble::Io)?;
    tell(&format!("{bytes} bytes received"));
    Ok(Taken { bytes, sha256: checksum.hex() })
}
