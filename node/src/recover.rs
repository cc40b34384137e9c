//! `janua cluster recover`: when a quorum is lost for good, a new cluster out of one node that is
//! left.
//!
//! Decision: what a survivor has may be older than what its peers have acknowledged, as a backup is.
//! So sessions end, keys change and audit chains open a new epoch, as after a restore.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::Args;
use janua_actors::capability::tenants::Anew;
use janua_actors::clock::{Clock, SystemClock};
use janua_storage::capability::cluster::FOUNDER;
use janua_storage::capability::tenants::Cause;
use janua_storage::engine::revival::{Reached, Revival, Survived, Survivor};
use janua_storage::engine::{Options, shards_of};
use janua_storage::ids::ShardId;
use janua_storage::membership::alive::{self, Living};
use janua_storage::membership::home::Home;
use janua_storage::moment::Moment;
use serde_json::{Value, json};

use crate::cli::Settings;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::offline::{block_on, failed};
use crate::output::print;
use crate::restore::{UNFINISHED, begin_anew, halves, hex, put_in_place};
use crate::serve::membership::known_secret;
use crate::serve::{self, floors};

/// Where what was there before is kept.
const BEFORE: &str = "before-recovery";
/// What is replaced, and what says which node of the old cluster this was.
const REPLACED: [&str; 8] =
    ["format", "clean", "log", "state", "snapshots", "node", "cluster.secret", "join.ticket"];

/// `janua cluster recover`
#[derive(Debug, Args)]
pub struct Recover {
    /// Do it; without it, only say what may be lost
    #[arg(long)]
    yes: bool,
    /// Do it although other nodes of the cluster live and may, with this one, have a quorum
    #[arg(long)]
    although_others_live: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    settings: Settings,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Says what may be lost and, when told to, makes the new cluster.
pub fn run(command: &Recover) -> Result<(), Failure> {
    let settings = &command.settings;
    let config = config::load(settings.config.as_deref(), &settings.flags())
        .map_err(Failure::Configuration)?;
    let folder = &config.node.data_dir;
    let before = folder.join(BEFORE);
    if before.exists() && folder.join(UNFINISHED).exists() {
        // An earlier run has come as far as this: what it made is whole.
        exchange(folder)?;
        return print(&done(folder, None, command.json));
    }
    if before.exists() {
        return Err(failed(format!("{} is in the way: move it elsewhere", before.display())));
    }
    let options =
        Options { shards: shards_of(folder).map_err(failed)?, ..floors::storage(&config, None) };
    // What an earlier run has left half-way.
    drop(fs::remove_dir_all(folder.join(UNFINISHED)));
    block_on(async {
        let survivor = Survivor::open(&options).map_err(failed)?;
        let survived = look(&survivor, options.shards).await?;
        let home = Home::read(folder).map_err(failed)?;
        let living = living(&config, home.as_ref()).await;
        let me = home.map_or(FOUNDER, |home| home.node);
        print(&said(&survived, me, &living, command))?;
        if !command.yes {
            let unsaid = || Failure::Usage("nothing was changed: --yes is missing".into());
            return Err(if command.json { unsaid() } else { Failure::Reported });
        }
        if !command.although_others_live {
            is_lost(me, &survived, &living)?;
        }
        let made = recover(&config, &options, survivor).await?;
        print(&done(folder, Some(&made), command.json))
    })
}

/// What the node has of every shard.
async fn look(survivor: &Survivor, shards: u16) -> Result<Vec<Survived>, Failure> {
    let mut survived = Vec::new();
    for shard in (0..shards).map(ShardId) {
        let found = survivor.survived(shard).await.map_err(failed)?;
        let absent = || {
            failed(format!(
                "this node has no replica of shard {shard}: recover another node, or restore a backup"
            ))
        };
        survived.push(found.ok_or_else(absent)?);
    }
    Ok(survived)
}

/// The other nodes of the cluster that answer.
async fn living(config: &Config, home: Option<&Home>) -> Vec<Living> {
    let Some(home) = home else { return Vec::new() };
    let secret = known_secret(config);
    alive::living(home, secret.as_ref(), SystemClock::default().now()).await
}

/// Whether no group could decide any more, if this node ran again.
fn is_lost(me: u64, survived: &[Survived], living: &[Living]) -> Result<(), Failure> {
    match survived.iter().any(|one| alive::could_decide(&one.voters, me, living)) {
        false => Ok(()),
        true => Err(failed(format!(
            "no quorum is lost: {} of the cluster answers, and with this node that is one; start this \
             node, or give --although-others-live if they are never to be one cluster with it again",
            named(living)
        ))),
    }
}

fn named(living: &[Living]) -> String {
    living.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What was made: how far each shard has come, and what has become of the rest.
struct Made {
    reached: Vec<Reached>,
    anew: Anew,
}

async fn recover(config: &Config, options: &Options, survivor: Survivor) -> Result<Made, Failure> {
    let folder = &options.data_dir;
    let unfinished = folder.join(UNFINISHED);
    serve::make_private(&unfinished)?;
    let revived = Options { data_dir: unfinished.clone(), ..options.clone() };
    let revival = Revival::begin(&revived).map_err(failed)?;
    let mut reached = Vec::new();
    for shard in (0..options.shards).map(ShardId) {
        let shard = survivor.revive(shard, &revival).map_err(failed)?;
        reached.push(revival.finish(shard).await.map_err(failed)?);
    }
    revival.close().map_err(failed)?;
    drop(survivor);
    let unusable = |error: std::io::Error| failed(format!("{}: {error}", folder.display()));
    fs::copy(folder.join("cluster.key"), unfinished.join("cluster.key")).map_err(unusable)?;
    let anew = begin_anew(config, &unfinished, Cause::Recovered).await?;
    serve::make_private(&folder.join(BEFORE))?;
    exchange(folder)?;
    Ok(Made { reached, anew })
}

/// Puts what was made in the place of what was there before. Interrupted, it can be done again.
fn exchange(folder: &Path) -> Result<(), Failure> {
    let before = folder.join(BEFORE);
    let is_old = |name: &&str| folder.join(name).exists() && !before.join(name).exists();
    for name in REPLACED.iter().filter(|name| is_old(name)) {
        let moved = fs::rename(folder.join(name), before.join(name));
        moved.map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    }
    put_in_place(&folder.join(UNFINISHED), folder)
}

fn said(survived: &[Survived], me: u64, living: &[Living], command: &Recover) -> String {
    if command.json {
        let shards: Vec<Value> = survived.iter().map(|one| shard_as_json(one, me)).collect();
        let living: Vec<Value> = living
            .iter()
            .map(|one| json!({ "node": one.node, "address": one.address, "shown": one.shown }))
            .collect();
        let all = json!({ "event": "survived", "node": me, "shards": shards, "living": living });
        return format!("{all}\n");
    }
    let mut text = String::from("What this node has:\n");
    survived.iter().for_each(|one| text.push_str(&shard_as_text(one, me)));
    text.push_str(
        "Lost is whatever the other nodes have acknowledged beyond these positions. Kept is everything \
         up to them, also what no client was told of.\n",
    );
    if !living.is_empty() {
        text.push_str(&format!(
            "Of the other nodes of the cluster, these answer: {}.\n",
            named(living)
        ));
    }
    if !command.yes {
        text.push_str(
            "Nothing was changed. Where folders of other nodes are left, ask this of each: the one with \
             the latest term, and in it the highest position, has lost least. Make sure that no other \
             node of the cluster runs, nor will, and give --yes.\n",
        );
    }
    text
}

/// Entries of which this node does not know whether anybody was told.
fn unconfirmed(one: &Survived) -> u64 {
    let committed = one.committed.map_or(0, |committed| committed.index);
    one.last.index.saturating_sub(committed)
}

/// The time of the last entry, if anything was ever written.
fn time_of(one: &Survived) -> Option<Moment> {
    (one.time > Moment::default()).then_some(one.time)
}

fn shard_as_json(one: &Survived, me: u64) -> Value {
    json!({
        "shard": one.shard.0,
        "term": one.last.term,
        "last": one.last.index,
        "lastTime": time_of(one).map(|time| time.to_string()),
        "acknowledged": one.committed.map(|committed| committed.index),
        "unconfirmed": unconfirmed(one),
        "voters": one.voters.iter().flatten().collect::<BTreeSet<_>>(),
        "votes": one.has_voter(me),
        "held": one.held.map(|held| held.index),
    })
}

fn shard_as_text(one: &Survived, me: u64) -> String {
    let (shard, position, term) = (one.shard, one.last.index, one.last.term);
    let mut text = format!("  shard {shard}: up to position {position} of term {term}");
    if let Some(time) = time_of(one) {
        text.push_str(&format!(", until {time}"));
    }
    match unconfirmed(one) {
        0 => {}
        tail => text.push_str(&format!(
            ", of which it does not know whether the last {tail} were acknowledged"
        )),
    }
    if !one.has_voter(me) {
        text.push_str("; it has no vote there, and may lack much of what was acknowledged");
    }
    if let Some(held) = one.held {
        let (position, term) = (held.index, held.term);
        text.push_str(&format!(
            "; it lacks what it had before it was let go, up to position {position} of term {term}"
        ));
    }
    text + "\n"
}

fn done(folder: &Path, made: Option<&Made>, as_json: bool) -> String {
    let before = folder.join(BEFORE);
    let anew = made.map(|made| &made.anew);
    if as_json {
        let positions = made.map(|made| {
            let positions = made.reached.iter().map(|one| (one.shard.to_string(), one.last.index));
            positions.collect::<BTreeMap<_, _>>()
        });
        let all = json!({
            "event": "recovered",
            "dataDir": folder,
            "cluster": anew.map(|anew| hex(&anew.cluster)),
            "positions": positions,
            "tenants": anew.map(|anew| anew.tenants),
            "ended": anew.map(|anew| anew.ended),
            "removed": anew.map(|anew| anew.removed),
            "before": before,
        });
        return format!("{all}\n");
    }
    let what = match anew {
        Some(anew) => format!("{} with {} tenants", hex(&anew.cluster), anew.tenants),
        None => "as the run before has made it".into(),
    };
    let ended = anew.map(|anew| format!(" ({} sessions and one-time tokens)", anew.ended));
    format!(
        "{}: a new cluster {what}\n\
         Every session has ended{}, every tenant signs with a new key, and audit chains go on in a new \
         epoch. API keys and the operator token are those that this node knew.\n{}\
         What was there before is in {}.\n",
        folder.display(),
        ended.unwrap_or_default(),
        anew.map(halves).unwrap_or_default(),
        before.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_recovers_hears_of_tenants_that_are_gone() {
        let said = |removed, as_json| {
            let anew = Anew { removed, ..Anew::default() };
            let made = Made { anew, reached: Vec::new() };
            done(Path::new("data"), Some(&made), as_json)
        };
        assert!(!said(0, false).contains("gone"), "{}", said(0, false));
        assert!(
            said(1, false).contains("1 tenant was there in part, and is gone"),
            "{}",
            said(1, false)
        );
        assert!(said(1, true).contains(r#""removed":1"#), "{}", said(1, true));
    }
}
