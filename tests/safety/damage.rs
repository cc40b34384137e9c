//! Damage: the state below `state/` is only a copy. Whatever happens to it while the node is down,
//! nothing is lost, nothing stale is served, and the node is ready within ten seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use janua_tests::diary::{self, Page, Writers};
use janua_tests::folders::{copy, files};
use janua_tests::{Chance, Node, Session};

const READY_WITHIN: Duration = Duration::from_secs(10);

/// A node with a history: accounts, and one session that was ended after `older` was copied.
struct History {
    node: Node,
    pages: Vec<Page>,
    ended: Session,
    older: PathBuf,
}

impl History {
    async fn written() -> Self {
        let node = Node::start().await;
        let alice = node.register("alice").await;
        let ended = alice.logs_in().await;
        let mut pages = writes(&node, "before").await;
        let older = node.folder().join("older");
        copy(&state(&node), &older);
        node.restart().await;
        ended.logs_out().await;
        pages.extend(writes(&node, "after").await);
        Self { node, pages, ended, older }
    }

    async fn survives(&self, damage: impl Fn(&Path)) {
        self.node.kill_9();
        damage(&state(&self.node));
        let begun = Instant::now();
        self.node.restart().await;
        let took = begun.elapsed();
        assert!(took < READY_WITHIN, "ready only after {took:?}");
        diary::is_kept(&self.node.api, &self.pages).await;
        self.ended.is_over().await;
    }
}

async fn writes(node: &Node, name: &str) -> Vec<Page> {
    let writers = Writers::start(&node.api, name, 16);
    diary::for_a_while(Duration::from_millis(500)).await;
    node.kill_9();
    let pages = writers.pages().await;
    pages.into_iter().filter(|page| page.registered.is_some()).collect()
}

fn state(node: &Node) -> PathBuf {
    let state = node.data_dir().join("state");
    assert!(state.is_dir(), "{} is missing", state.display());
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_may_be_deleted() {
    let history = History::written().await;
    history.survives(|state| fs::remove_dir_all(state).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_may_be_truncated() {
    let history = History::written().await;
    for share in [0, 1, 2, 3] {
        let truncate = |path: &PathBuf| {
            let length = path.metadata().unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(length * share / 4).unwrap();
        };
        history.survives(|state| files(state).iter().for_each(truncate)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_may_be_an_older_copy_of_itself() {
    let history = History::written().await;
    history
        .survives(|state| {
            fs::remove_dir_all(state).unwrap();
            copy(&history.older, state);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_may_have_flipped_bytes() {
    let history = History::written().await;
    for seed in 0..5 {
        history
            .survives(|state| {
                let mut chance = Chance::from_seed(seed);
                for path in files(state) {
                    flip(&path, &mut chance);
                }
            })
            .await;
    }
}

/// Flips one byte in every 16 KiB or so, at least one.
fn flip(path: &Path, chance: &mut Chance) {
    let mut bytes = fs::read(path).expect("a file");
    let length = bytes.len() as u64;
    for _ in 0..(length / 16_384).max(1).min(length) {
        bytes[chance.below(length) as usize] ^= 1 + chance.below(255) as u8;
    }
    fs::write(path, bytes).expect("it is written");
}
