//! A full disk: nothing is acknowledged that is not kept, and the node says why it stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use janua_tests::diary::{self, Writers};
use janua_tests::people::PASSWORD;
use janua_tests::{Node, wait};

/// A disk of its own, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where this process may not mount.
    fn of(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it but for `left` bytes; the file that does it.
    fn fill_but(&self, left: u64) -> PathBuf {
        let filler = self.path().join("filler");
        let output = Command::new("df").args(["--output=avail", "-B1"]).arg(self.path()).output();
        let text = String::from_utf8(output.expect("df runs").stdout).expect("text");
        let free = text.lines().nth(1).and_then(|line| line.trim().parse::<u64>().ok());
        let free = free.expect("a number");
        let filling = vec![b'x'; usize::try_from(free.saturating_sub(left)).expect("a size")];
        fs::write(&filler, filling).expect("it fits");
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_acknowledgements_and_says_so() {
    let Some(disk) = SmallDisk::of(256) else {
        eprintln!("skipped: a disk of its own needs the right to mount");
        return;
    };
    let node = Node::prepare().with_data_in(disk.path().join("data")).start().await;
    let alice = node.register("alice").await;
    let filler = disk.fill_but(512 * 1024);
    let writers = Writers::start(&node.api, "writer", 8);
    let unready = wait::until("the node says that it is not ready", async || {
        let ready = node.api.try_get("/health/ready").await.ok()?;
        (ready.status == 503).then_some(ready)
    });
    let unready = unready.await;
    let reasons = unready.body["reasons"].to_string();
    assert!(reasons.contains("storage") || reasons.contains("disk"), "{reasons}");
    assert!(!node.log.text().is_empty());

    let refused = node.api.registration("late@example.com", PASSWORD).await;
    refused.is_no(503, "service_unavailable");
    alice.session.me().await.is_no(503, "service_unavailable");
    assert_eq!(node.api.get("/health/live").await.status, 200);

    node.kill_9();
    let pages = writers.pages().await;
    fs::remove_file(filler).unwrap();
    node.restart().await;
    let answered: Vec<_> = pages.into_iter().filter(|page| page.registered.is_some()).collect();
    diary::is_kept(&node.api, &answered).await;
    alice.session.is_alive().await;
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_is_one_clear_line() {
    let Some(disk) = SmallDisk::of(16) else {
        eprintln!("skipped: a disk of its own needs the right to mount");
        return;
    };
    disk.fill_but(0);
    let setup = Node::prepare().with_data_in(disk.path().join("data"));
    let mut process = setup.start_process();
    assert_eq!(process.ends().await.code(), Some(1));
    let log = process.log.text();
    assert_eq!(log.lines().filter(|line| line.starts_with("janua: ")).count(), 1, "{log}");
}
