//! A thousand power cuts: every byte, length and name not covered by a returned sync is dropped,
//! and sled's files are left as they are, deleted, truncated, flipped, or replaced by an older copy
//! of themselves, unless the stop was clean. What was acknowledged is there, and nothing is there by half.

use super::*;
use crate::engine::files::read_all;

/// Data folders, each of which goes through many cuts.
const LIVES: u64 = 100;
/// Cuts of each.
const CUTS: u64 = 10;
/// Writers at once.
const WRITERS: u64 = 8;

struct Life {
    dir: tempfile::TempDir,
    disk: MemoryDisk,
    dice: Dice,
    acknowledged: BTreeSet<u64>,
    next: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            dir: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .expect("a folder"),
            disk: MemoryDisk::default(),
            dice: Dice(seed << 32),
            acknowledged: BTreeSet::new(),
            next: 0,
        }
    }

    /// Opens, unless the power fails meanwhile.
    async fn open(&self) -> Option<Shards> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        match Shards::open(options(self.dir.path(), 2), parts(&disk)).await {
            Ok(shards) => Some(shards),
            Err(error) => {
                assert!(self.disk.is_dark(), "{error}");
                None
            }
        }
    }

    async fn check(&self, shards: &Shards) {
        let Ok(view) = shard(shards).read().await else {
            assert!(self.disk.is_dark(), "{:?}", shards.health());
            return;
        };
        let found = numbers(&view);
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
    }

    /// Writes from many sides until the power fails.
    async fn write(&mut self, shards: &Shards) {
        let first = self.next;
        self.next += WRITERS * 1_000;
        let writers = (0..WRITERS).map(|writer| async move {
            let mut written = Vec::new();
            for number in (first + writer * 1_000..).take(1_000) {
                match shard(shards).write(proposal(number)).await {
                    Ok(_) => written.push(number),
                    Err(_) => break,
                }
            }
            written
        });
        let written = futures::future::join_all(writers).await;
        self.acknowledged.extend(written.into_iter().flatten());
    }

    async fn cut(&mut self) {
        let operations = 1 + self.dice.roll(120);
        if self.dice.roll(4) == 0 {
            self.disk.cut_power_after(operations / 4);
        }
        if let Some(shards) = self.open().await {
            self.check(&shards).await;
            if self.dice.roll(8) > 0 {
                self.disk.cut_power_after(operations);
                self.write(&shards).await;
            }
            shards.close().await;
        }
        let dice = &mut self.dice;
        self.disk
            .restart(|added| match dice.roll(2) {
                0 => 0,
                _ => dice.roll(added as u64) as usize,
            })
            .expect("power");
        let older = self.dir.path().join("older");
        let mark = read_all(&self.disk, &self.dir.path().join("clean")).expect("power");
        let clean = mark.as_deref() == Some(b"clean\n");
        if self.dir.path().join("state/db").exists() && !clean {
            harm_state(self.dir.path(), &older, &mut self.dice);
        }
        if self.dice.roll(4) == 0 && self.dir.path().join("state").exists() {
            drop(fs::remove_dir_all(&older));
            copy(&self.dir.path().join("state"), &older);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_to_a_thousand_power_cuts() {
    let lives = (0..LIVES).map(|seed| async move {
        let mut life = Life::new(seed);
        for _ in 0..CUTS {
            life.cut().await;
        }
        let shards = life.open().await.expect("power");
        life.check(&shards).await;
        shards.close().await;
        life.acknowledged.len()
    });
    let mut acknowledged = 0;
    let mut lives = futures::StreamExt::buffer_unordered(futures::stream::iter(lives), 4);
    while let Some(count) = futures::StreamExt::next(&mut lives).await {
        acknowledged += count;
    }
    assert!(acknowledged > 1_000, "only {acknowledged} writes were acknowledged");
}
