//! `janua demo` loses nothing to what it does to its nodes, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use janua_tests::command::Janua;
use janua_tests::folders::files;
use janua_tests::wait;
use serde_json::Value;

/// `janua demo --json` with what it keeps in a folder.
fn demo(folder: &Path, arguments: &[&str]) -> Janua {
    let demo = Janua::command(["demo", "--json"]).with("TMPDIR", folder);
    arguments.iter().fold(demo, Janua::and)
}

/// The command lines of all processes that have to do with a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a plain path");
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

fn nothing_is_left_in(folder: &Path) {
    assert_eq!(processes_of(folder), [""; 0]);
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_demo_loses_nothing_while_its_nodes_are_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["--for", "15s", "--kill-every", "3s", "--rate", "40"];
    let done = demo(folder.path(), &arguments).run().await.succeeds();
    let last = done.event("ended");
    let count = |name: &str| last[name].as_u64().unwrap_or_else(|| panic!("no {name} in {last}"));
    assert_eq!(count("lost"), 0, "{last}");
    assert!(count("kills") >= 1, "{last}");
    assert!(count("acknowledged") >= 20, "{last}");
    assert_eq!(count("checked"), count("acknowledged"), "{last}");
    nothing_is_left_in(folder.path());

    let lines = done.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let at_work: Vec<_> = lines.filter(|line| line["phase"] == "working").collect();
    assert!(at_work.len() >= 10, "a line a second: {}", done.stdout);
    let killed = |line: &Value| {
        line["nodes"].as_array().expect("nodes").iter().any(|node| node["condition"] == "killed")
    };
    assert!(at_work.iter().any(killed), "{}", done.stdout);
    let led = |line: &Value| line["leaders"].as_array().expect("shards").iter().all(is_node);
    assert!(at_work.iter().any(led), "{}", done.stdout);
}

fn is_node(number: &Value) -> bool {
    number.as_u64().is_some_and(|number| (1..=3).contains(&number))
}

#[tokio::test]
async fn whatever_ends_a_demo_ends_its_nodes() {
    for signal in ["TERM", "HUP", "KILL"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut demo = demo(folder.path(), &[]).start(folder.path());
        wait::until("three nodes run", async || {
            let running = processes_of(folder.path()).len();
            (running == 3).then_some(())
        })
        .await;
        secrets_are_kept_in(folder.path());
        demo.signal(signal);
        let ended = demo.ends().await;
        wait::until("its nodes have ended", async || {
            processes_of(folder.path()).is_empty().then_some(())
        })
        .await;
        if signal != "KILL" {
            assert_eq!(ended.code(), Some(0), "{}", demo.log.text());
            nothing_is_left_in(folder.path());
        }
    }
}

/// The nodes' secrets are for their user alone, and in no list of processes.
fn secrets_are_kept_in(folder: &Path) {
    let shown = processes_of(folder).join("\n");
    let files = files(folder);
    let configurations = files.iter().filter(|path| path.extension() == Some("toml".as_ref()));
    let mut secrets = 0;
    for path in configurations {
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        let text = fs::read_to_string(path).expect("text");
        for line in text.lines() {
            let Some((key, value)) = line.split_once(" = ") else { continue };
            if ["secret", "operator_token"].contains(&key) {
                assert!(!shown.contains(value.trim_matches('"')), "{key} is shown: {shown}");
                secrets += 1;
            }
        }
    }
    assert_eq!(secrets, 6, "two of each node");
}
