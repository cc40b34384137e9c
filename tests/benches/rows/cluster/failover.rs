//! The leader of a tenant at work is killed, again and again: how long nobody's write is answered, and
//! whether an answered one is ever lost or done twice. Beside it, the same with an etcd of three.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::ready;
use futures::stream;
use janua_tests::cluster::{Cluster, is_ready};
use janua_tests::node::{Api, send};
use janua_tests::people::{PASSWORD, Session};
use janua_tests::wait;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::SHARDS;
use crate::Effort;
use crate::etcd::Etcd;
use crate::rows::shipped;
use crate::table::{Table, median};

/// How often a leader is killed.
const KILLS: usize = 20;
/// Writers, in turn at every node.
const WRITERS: usize = 12;
/// Between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(5);
/// How long writes are watched around a kill.
const AROUND: Duration = Duration::from_millis(1500);
/// How many answered writes are looked for at once, in the end.
const LOOKING: usize = 16;
/// How long a writer waits before it asks another node.
const PATIENCE: Duration = Duration::from_secs(2);

/// What writers of a run heard.
#[derive(Default)]
struct Heard {
    /// When a write was answered.
    answers: Vec<Instant>,
    /// Which.
    acknowledged: Vec<String>,
}

/// The longest time between two answers, from shortly before a kill until the next one or long after.
fn longest_gap(answers: &[Instant], kill: Instant, next: Instant) -> Duration {
    let end = next.min(kill + 4 * AROUND);
    let before = answers.iter().rev().find(|answer| **answer <= kill).copied();
    let after = answers.iter().filter(|answer| **answer > kill && **answer < end).copied();
    let around: Vec<_> = before.into_iter().chain(after).chain([end]).collect();
    around.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Writes until told to stop; each write again under its own name until it is answered.
async fn writer<W: AsyncFn(usize, String) -> bool>(
    number: usize,
    nodes: usize,
    stop: Arc<AtomicBool>,
    write: W,
) -> Heard {
    let mut heard = Heard::default();
    let mut at = number % nodes;
    for turn in 0.. {
        let name = format!("w{number}-{turn}");
        while !write(at, name.clone()).await {
            if stop.load(Ordering::Relaxed) {
                return heard;
            }
            at = (at + 1) % nodes;
            // Not to spin at a node that refuses connections.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        heard.answers.push(Instant::now());
        heard.acknowledged.push(name);
        // Load, but no overload: what is measured is how long the cluster takes, not its queue.
        tokio::time::sleep(PAUSE).await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    heard
}

/// What is killed and comes back.
trait Victims {
    async fn kill_the_leader(&mut self) -> usize;
    async fn bring_back(&mut self, number: usize);
}

impl Victims for Cluster {
    async fn kill_the_leader(&mut self) -> usize {
        self.is_settled().await;
        let leader = self.leader_of_the_default_tenant().await;
        self.node(leader).kill_9();
        leader
    }

    async fn bring_back(&mut self, number: usize) {
        self.node(number).restart().await;
        wait::until("it is ready", async || is_ready(&self.node(number).api).await.then_some(()))
            .await;
    }
}

impl Victims for Etcd {
    async fn kill_the_leader(&mut self) -> usize {
        let leader = self.leader().await;
        self.kill_9(leader);
        leader
    }

    async fn bring_back(&mut self, number: usize) {
        self.restart(number).await;
    }
}

/// Kills and revives, and says when each kill was.
async fn strikes(victims: &mut impl Victims) -> Vec<Instant> {
    let mut kills = Vec::new();
    for kill in 0..KILLS {
        // Writes are to be under way, and at a different point each time.
        tokio::time::sleep(AROUND + Duration::from_millis(37 * kill as u64)).await;
        let victim = victims.kill_the_leader().await;
        kills.push(Instant::now());
        tokio::time::sleep(AROUND).await;
        victims.bring_back(victim).await;
        eprintln!("  kill {} of {KILLS}", kill + 1);
    }
    kills
}

fn gaps(kills: &[Instant], ended: Instant, heard: &[Heard]) -> Vec<f64> {
    let mut answers: Vec<_> = heard.iter().flat_map(|heard| heard.answers.clone()).collect();
    answers.sort();
    let next = kills.iter().skip(1).copied().chain([ended]);
    let around = kills.iter().zip(next);
    around.map(|(kill, next)| longest_gap(&answers, *kill, next).as_secs_f64()).collect()
}

fn summary(gaps: &[f64]) -> String {
    let most = gaps.iter().copied().fold(0.0, f64::max);
    format!("{:.2} s at the median of {}, {most:.2} s at worst", median(gaps.to_vec()), gaps.len())
}

/// Somebody registers again and again under a key of their own.
async fn registers(api: &Api, name: &str) -> bool {
    let request = api.request(Method::POST, "/auth/register").timeout(PATIENCE);
    let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
    let answer = send(request.header("Idempotency-Key", name).json(&body)).await;
    let status = answer.map_or(0, |answer| answer.status);
    assert!([0, 201, 429, 500, 502, 503].contains(&status), "{name} was answered {status}");
    status == 201
}

async fn janua() -> (Vec<f64>, usize, usize) {
    // Hashing costs next to nothing here: it would be all that is measured.
    let cheap = || shipped().with("passwords.memory_kib", 8).with("passwords.iterations", 1);
    let mut cluster = Cluster::made_of(3, SHARDS, Box::new(cheap)).await;
    let nodes: Vec<_> = cluster.nodes().iter().map(|node| node.api.clone()).collect();
    let stop = Arc::<AtomicBool>::default();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let nodes: Vec<_> = nodes.iter().map(Api::over_new_connections).collect();
        let write = async move |at: usize, name: String| registers(&nodes[at], &name).await;
        writers.spawn(writer(number, 3, stop.clone(), write));
    }
    let kills = strikes(&mut cluster).await;
    let ended = Instant::now();
    stop.store(true, Ordering::Relaxed);
    let heard = writers.join_all().await;
    let gaps = gaps(&kills, ended, &heard);
    eprintln!("  {}: {gaps:.2?}", summary(&gaps));
    cluster.is_settled().await;
    let names: Vec<_> = heard.into_iter().flat_map(|heard| heard.acknowledged).collect();
    let kept = stream::iter(names.iter().enumerate())
        .map(|(number, name)| is_there(&nodes[number % 3], name))
        .buffer_unordered(LOOKING)
        .filter(|kept| ready(*kept))
        .count()
        .await;
    (gaps, names.len(), names.len() - kept)
}

/// Whether somebody whose registration was answered can log in, and use the session at once.
async fn is_there(api: &Api, name: &str) -> bool {
    let login = api.login(&format!("{name}@example.com"), PASSWORD).await;
    if login.status != 200 {
        return false;
    }
    Session::of(api, login.data()).is_alive().await;
    true
}

async fn put(address: &str, client: &reqwest::Client, name: &str) -> bool {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let body =
        json!({ "key": BASE64_STANDARD.encode(name), "value": BASE64_STANDARD.encode([7; 500]) });
    let request = client.post(format!("http://{address}/v3/kv/put")).timeout(PATIENCE).json(&body);
    let Ok(answer) = request.send().await else { return false };
    let whole: Result<Value, _> = answer.json().await;
    whole.is_ok_and(|whole| whole.get("header").is_some())
}

async fn etcd() -> Option<Vec<f64>> {
    let mut etcd = Etcd::of(3).await?;
    let stop = Arc::<AtomicBool>::default();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (addresses, client) = (etcd.target().addresses, janua_tests::node::client());
        let write = async move |at: usize, name: String| put(&addresses[at], &client, &name).await;
        writers.spawn(writer(number, 3, stop.clone(), write));
    }
    let kills = strikes(&mut etcd).await;
    let ended = Instant::now();
    stop.store(true, Ordering::Relaxed);
    Some(gaps(&kills, ended, &writers.join_all().await))
}

/// Measures the row.
pub async fn measure(_: Effort, table: &mut Table) {
    let reference = etcd().await;
    let (gaps, acknowledged, lost) = janua().await;
    let theirs = reference.map_or("–".into(), |gaps| format!("etcd: {}", summary(&gaps)));
    table.add(
        "three nodes, the leader killed: longest time without an answered write",
        summary(&gaps),
        theirs,
        format!("{lost} of {acknowledged} answered registrations lost"),
        "0.4 s at the median, 1.0 s at worst; 0 lost",
    );
}
