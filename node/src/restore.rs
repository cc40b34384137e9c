//! `janua restore`: a data folder of a new cluster, out of a backup.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use janua_actors::capability::tenants::Anew;
use janua_actors::clock::{Clock, SystemClock};
use janua_storage::backup::recovery_key::RecoveryKey;
use janua_storage::backup::restore::{Contents, Cut, inspect, unpack};
use janua_storage::capability::tenants::Cause;
use janua_storage::cluster_key;
use janua_storage::engine::Options;
use janua_storage::engine::revival::Reached;
use janua_storage::ids::ShardId;
use janua_storage::moment::Moment;
use janua_storage::seal::Key;
use serde_json::{Value, json};

use crate::backup::KeySource;
use crate::cli::Settings;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::offline::{Offline, block_on, failed};
use crate::output::{print, tell};
use crate::serve::{self, floors};

/// Where a folder is made before it takes its place.
pub const UNFINISHED: &str = ".unfinished";

/// `janua restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// The recovery key that it is encrypted to.
    #[command(flatten)]
    key: KeySource,
    /// Restore an earlier state: a time (RFC 3339), or positions (SHARD:INDEX, separated by commas)
    #[arg(long, value_name = "TIME|POSITION", value_parser = cut)]
    at: Option<Cut>,
    /// Read the backup to its end, say what it holds, and write nothing
    #[arg(long)]
    check: bool,
    /// Where the configuration comes from; --data-dir names the folder, which must be empty.
    #[command(flatten)]
    settings: Settings,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

fn cut(text: &str) -> Result<Cut, String> {
    if let Ok(time) = text.parse() {
        return Ok(Cut::Time(time));
    }
    let position = |part: &str| {
        let (shard, index) = part.split_once(':')?;
        Some((ShardId(shard.trim().parse().ok()?), index.trim().parse().ok()?))
    };
    let positions: Option<BTreeMap<_, _>> = text.split(',').map(position).collect();
    let rule = "must be a time such as 2026-01-15T10:30:00Z, or positions such as 1:4711,2:815";
    positions.map(Cut::Positions).ok_or_else(|| rule.into())
}

/// Restores, or checks.
pub fn run(command: &Restore) -> Result<(), Failure> {
    let settings = &command.settings;
    let config = config::load(settings.config.as_deref(), &settings.flags())
        .map_err(Failure::Configuration)?;
    let key = command.key.read()?.ok_or_else(|| {
        Failure::Usage("give the recovery key by --recovery-key-file or JANUA_RECOVERY_KEY".into())
    })?;
    let cut = command.at.clone().unwrap_or(Cut::End);
    let folder = &config.node.data_dir;
    if !command.check {
        is_empty(folder)?;
    }
    let about =
        |error: &dyn std::fmt::Display| failed(format!("{}: {error}", command.file.display()));
    let contents = inspect(&command.file, &key).map_err(|error| about(&error))?;
    contents.check(&cut).map_err(|error| about(&error))?;
    if command.check {
        return print(&held(&contents, command));
    }
    tell(&format!("the backup is whole; restoring into {}", folder.display()));
    let made = block_on(make(&config, command, &key, &cut, &contents));
    let (reached, anew) = made.inspect_err(|_| {
        // Nothing but what this run has made is in it.
        drop(fs::remove_dir_all(folder.join(UNFINISHED)));
    })?;
    print(&told(&config, &contents, &reached, &anew, command.json))
}

fn is_empty(folder: &Path) -> Result<(), Failure> {
    let unusable = |error| failed(format!("{} cannot be used: {error}", folder.display()));
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(failed(format!(
                "{} is not empty: a restore needs a folder of its own",
                folder.display()
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unusable(error)),
    }
}

async fn make(
    config: &Config,
    command: &Restore,
    key: &RecoveryKey,
    cut: &Cut,
    contents: &Contents,
) -> Result<(Vec<Reached>, Anew), Failure> {
    let folder = &config.node.data_dir;
    let unfinished = folder.join(UNFINISHED);
    serve::make_private(folder)?;
    serve::make_private(&unfinished)?;
    let options = Options {
        data_dir: unfinished.clone(),
        shards: contents.cluster.shards,
        ..floors::storage(config, None)
    };
    let reached = unpack(&command.file, key, cut, &options).await.map_err(failed)?;
    keep_key(config, &unfinished, &Key::new(contents.cluster.key))?;
    let anew = begin_anew(config, &unfinished, Cause::Restored).await?;
    put_in_place(&unfinished, folder)?;
    Ok((reached, anew))
}

/// Writes the cluster's key into a folder, wrapped as the configuration says.
pub fn keep_key(config: &Config, folder: &Path, key: &Key) -> Result<(), Failure> {
    let wrapping = floors::wrapping_key(config)?;
    let clock: &dyn Clock = &SystemClock::default();
    cluster_key::keep(folder, key, wrapping.as_ref(), clock.random()).map_err(failed)
}

/// What has to be done before anybody is served.
pub async fn begin_anew(config: &Config, folder: &Path, cause: Cause) -> Result<Anew, Failure> {
    let offline = Offline::open(config, folder).await?;
    let anew = offline.directory.begin_anew(cause).await;
    offline.close().await;
    anew.map_err(failed)
}

/// Moves what was made to where it is looked for; `format`, without which nothing is taken for a
/// data folder, comes last.
pub fn put_in_place(from: &Path, to: &Path) -> Result<(), Failure> {
    let unusable = |error: std::io::Error| failed(format!("{}: {error}", to.display()));
    let entries = fs::read_dir(from).map_err(unusable)?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(unusable)?.file_name());
    }
    names.sort_by_key(|name| name == "format");
    for name in names {
        fs::rename(from.join(&name), to.join(&name)).map_err(unusable)?;
    }
    fs::remove_dir(from).map_err(unusable)?;
    File::open(to).and_then(|folder| folder.sync_all()).map_err(unusable)
}

fn held(contents: &Contents, command: &Restore) -> String {
    let shards: Vec<Value> = contents
        .shards
        .iter()
        .map(|extent| {
            json!({
                "shard": extent.shard.0,
                "first": extent.first.map_or(0, |first| first.index),
                "firstTime": extent.first.map(|_| extent.first_time.to_string()),
                "last": extent.last.index,
                "lastTime": extent.last_time.to_string(),
            })
        })
        .collect();
    if command.json {
        let all = json!({
            "event": "checked",
            "bytes": contents.bytes,
            "cluster": hex(&contents.cluster.cluster),
            "program": contents.cluster.program,
            "begun": contents.cluster.begun.to_string(),
            "earliest": contents.earliest().to_string(),
            "shards": shards,
        });
        return format!("{all}\n");
    }
    let mut text = format!(
        "{}: a whole backup of cluster {}, begun at {} by janua {}\n",
        command.file.display(),
        hex(&contents.cluster.cluster),
        contents.cluster.begun,
        contents.cluster.program
    );
    for extent in &contents.shards {
        let first = extent.first.map_or(0, |first| first.index);
        let (shard, last, time) = (extent.shard, extent.last.index, extent.last_time);
        text.push_str(&format!("  shard {shard}: positions {first} to {last}"));
        text.push_str(&match time == Moment::default() {
            true => ", nothing written yet\n".to_owned(),
            false => format!(", until {time}\n"),
        });
    }
    text
}

fn told(
    config: &Config,
    contents: &Contents,
    reached: &[Reached],
    anew: &Anew,
    json: bool,
) -> String {
    let folder = config.node.data_dir.display();
    if json {
        let positions: BTreeMap<String, u64> =
            reached.iter().map(|one| (one.shard.to_string(), one.last.index)).collect();
        let all = json!({
            "event": "restored",
            "dataDir": config.node.data_dir,
            "cluster": hex(&anew.cluster),
            "shards": contents.cluster.shards,
            "positions": positions,
            "tenants": anew.tenants,
            "ended": anew.ended,
            "removed": anew.removed,
        });
        return format!("{all}\n");
    }
    let mut text = format!(
        "{folder}: a new cluster {} with {} tenants\n\
         Every session has ended ({} sessions and one-time tokens), every tenant signs with a new \
         key, and audit chains go on in a new epoch. API keys and the operator token are those of \
         the backup.\n{}",
        hex(&anew.cluster),
        anew.tenants,
        anew.ended,
        halves(anew)
    );
    if u64::from(contents.cluster.shards) != config.cluster.shards.0 {
        let shards = contents.cluster.shards;
        text.push_str(&format!("Serve it with cluster.shards = {shards}.\n"));
    }
    text
}

/// What has become of tenants that one of their two shards alone knew.
pub fn halves(anew: &Anew) -> String {
    match anew.removed {
        0 => String::new(),
        1 => "1 tenant was there in part, and is gone.\n".into(),
        removed => format!("{removed} tenants were there in part, and are gone.\n"),
    }
}

/// Bytes as people read them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use janua_storage::backup::archive::ClusterHead;

    use super::*;

    #[test]
    fn who_restores_hears_of_tenants_that_are_gone() {
        let config = config::load(None, &config::Flags::default()).expect("a configuration");
        let cluster = ClusterHead {
            cluster: [1; 16],
            data_version: 1,
            program: "0.1.0".into(),
            shards: 16,
            key: [2; 32],
            begun: Moment(0),
        };
        let contents = Contents { cluster, shards: Vec::new(), bytes: 1 };
        let said = |removed| {
            let anew = Anew { removed, ..Anew::default() };
            told(&config, &contents, &[], &anew, false)
        };
        assert!(!said(0).contains("gone"), "{}", said(0));
        assert!(said(2).contains("2 tenants were there in part, and are gone"), "{}", said(2));
    }

    #[test]
    fn an_earlier_state_is_a_time_or_positions() {
        assert_eq!(cut("1970-01-01T00:00:01Z"), Ok(Cut::Time(Moment(1000))));
        let positions = BTreeMap::from([(ShardId(1), 5), (ShardId(2), 7)]);
        assert_eq!(cut("1:5, 2:7"), Ok(Cut::Positions(positions)));
        for wrong in ["yesterday", "1:", "5", "1:5;2:7"] {
            assert!(cut(wrong).is_err(), "{wrong}");
        }
    }
}
