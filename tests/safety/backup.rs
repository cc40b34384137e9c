//! Backup and restore: what was answered before a backup began is in it, whoever writes meanwhile;
//! what comes of it is another cluster, in which nobody is signed in; and one that cannot be used
//! does no harm.

use std::fs;
use std::path::Path;

use janua_tests::audit::{chain_is_whole, export};
use janua_tests::command::{Backup, Janua};
use janua_tests::diary::Writers;
use janua_tests::people::PASSWORD;
use janua_tests::{Node, at_once};
use serde_json::Value;

/// A restored folder, and what the restore said.
struct Restored {
    folder: tempfile::TempDir,
    said: Value,
}

impl Restored {
    async fn of(backup: &Backup) -> Self {
        Self::at(backup, &[]).await
    }

    async fn at(backup: &Backup, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let command = backup.restore(&folder.path().join("data"));
        let command = more.iter().fold(command, |command, argument| command.and(argument));
        let said = command.run().await.succeeds().event("restored");
        Self { folder, said }
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn serves(&self) -> Node {
        Node::prepare().with_data_in(self.data_dir()).start().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_a_backup_under_load_is_in_it() {
    // Snapshots come and go meanwhile.
    let node = Node::with("storage.snapshot_log_bytes", 32 * 1024).start().await;
    let before = at_once(64, |number| {
        let api = node.api.over_new_connections();
        async move { janua_tests::User::registers(api, &format!("before-{number}")).await }
    })
    .await;
    let writers = Writers::start(&node.api, "during", 64);
    janua_tests::diary::for_a_while(std::time::Duration::from_secs(1)).await;
    let backup = Backup::of(&node, node.folder()).await;
    let after = node.register("after").await;
    node.kill_9();
    let pages = writers.pages().await;
    assert!(pages.len() > 64, "they wrote while the backup was taken: {}", pages.len());

    let held = checked(&backup).await;
    let of_tenant = &held["shards"][1];
    assert!(of_tenant["first"].as_u64() > Some(0), "it begins with a snapshot: {of_tenant}");
    let folder = tempfile::tempdir().unwrap();
    let too_early =
        backup.restore(&folder.path().join("data")).and("--at").and("2001-01-01T00:00:00Z");
    too_early.run().await.fails(1, "it reaches back to");

    let restored = Restored::of(&backup).await;
    let new = restored.serves().await;
    for user in &before {
        let token = &user.session.access_token;
        assert_eq!(new.api.me(token).await.status, 401, "an access token of before is accepted");
        let refreshed = new.api.refresh(&user.session.refresh_token).await;
        refreshed.is_no(401, "session_revoked");
        let login = new.api.login(&user.email, PASSWORD).await.is_yes(200);
        assert_eq!(login.text_of("user.id"), user.id);
    }
    new.api.login(&after.email, PASSWORD).await.is_no(401, "invalid_credentials");
    new.register("someone-new").await.session.is_alive().await;
    assert_eq!(new.stops().await, Some(0));
    assert!(chain_is_whole(&new.data_dir()).await > 64);
}

#[tokio::test]
async fn a_restored_cluster_is_another_one_with_keys_of_its_own() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let kids = async |node: &Node| {
        let keys = node.api.get("/.well-known/jwks.json").await;
        let keys = keys.body["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let old_kids = kids(&node).await;
    let backup = Backup::of(&node, node.folder()).await;
    let checked = Janua::command(["restore", "--check", "--json"]).and(&backup.file);
    let checked = checked.with("JANUA_RECOVERY_KEY", &backup.key).run().await.succeeds();
    let restored = Restored::of(&backup).await;
    assert_ne!(restored.said["cluster"], checked.event("checked")["cluster"]);
    let new = restored.serves().await;
    let new_kids = kids(&new).await;
    assert_eq!(new_kids.len(), 1);
    assert!(!old_kids.contains(&new_kids[0]), "{old_kids:?} and {new_kids:?}");
    let with_key = new.api.request(reqwest::Method::POST, "/auth/login");
    let with_key = with_key.header("X-API-Key", node.keys().publishable);
    let login = serde_json::json!({ "email": alice.email, "password": PASSWORD });
    janua_tests::node::answer(with_key.json(&login)).await.is_yes(200);
    assert_eq!(new.stops().await, Some(0));
    let lines = export(&new.data_dir()).await;
    let restored = lines.iter().find(|line| line.contains("tenant.restored")).expect("an event");
    let event: Value = serde_json::from_str(restored).unwrap();
    assert_eq!(event["details"]["epoch"], 2, "the chain goes on in another epoch");
    alice.session.is_alive().await;
}

#[tokio::test]
async fn an_export_verifies_offline_until_it_is_changed() {
    let node = Node::start().await;
    node.register("alice").await.logs_in().await;
    assert_eq!(node.stops().await, Some(0));
    let file = node.folder().join("events.ndjson");
    let lines = export(&node.data_dir()).await;
    fs::write(&file, lines.join("\n")).unwrap();
    let verify = || Janua::command(["audit", "verify", "--json"]).and(&file);
    let verified = verify().run().await.succeeds().json();
    assert_eq!((&verified["valid"], &verified["checked"]), (&true.into(), &lines.len().into()));
    fs::write(&file, lines.join("\n").replace("alice@", "mallory@")).unwrap();
    let verified = verify().run().await;
    assert_eq!(verified.code, Some(1));
    assert_eq!(verified.json()["valid"], false);
    let gap = [&lines[..1], &lines[2..]].concat().join("\n");
    fs::write(&file, gap).unwrap();
    Janua::command(["audit", "verify"]).and(&file).run().await.fails(1, "line 2: event 3 stands");
}

#[tokio::test]
async fn an_earlier_position_and_an_earlier_time_can_be_restored() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    // Times are told apart by whole seconds on the command line.
    let then = janua_tests::response::unix_seconds(&alice.session.me().await.data()["createdAt"]);
    let first = Backup::of(&node, node.folder()).await;
    let position = checked(&first).await["shards"][1]["last"].as_u64().unwrap();
    let mut ticks = 0;
    janua_tests::wait::until("the next second but one", async || {
        ticks += 1;
        let me = node.register(&format!("tick-{ticks}")).await.session.me().await;
        let now = janua_tests::response::unix_seconds(&me.data()["createdAt"]);
        (now > then + 1).then_some(())
    })
    .await;
    node.register("bob").await;
    let second = Backup { file: node.folder().join("second"), key: first.key.clone() };
    let taken = Janua::command(["backup", "--json"]).and(&second.file).against(&node).run().await;
    assert!(!taken.succeeds().stdout.contains("jrk_"), "the recovery key is shown once");
    let then = time::OffsetDateTime::from_unix_timestamp(then + 1).unwrap();
    let then = then.format(&time::format_description::well_known::Rfc3339).unwrap();
    for at in [format!("1:{position}"), then] {
        let restored = Restored::at(&second, &["--at", &at]).await;
        let new = restored.serves().await;
        new.api.login(&alice.email, PASSWORD).await.is_yes(200);
        new.api.login("bob@example.com", PASSWORD).await.is_no(401, "invalid_credentials");
    }
    let folder = tempfile::tempdir().unwrap();
    let beyond = second.restore(&folder.path().join("data")).and("--at").and("1:4000000000");
    beyond.run().await.fails(1, "positions");
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn a_backup_that_cannot_be_used_leaves_no_trace() {
    let node = Node::start().await;
    node.register("alice").await;
    let backup = Backup::of(&node, node.folder()).await;
    let whole = fs::read(&backup.file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let nothing_was_made = || assert!(!data_dir.exists());

    let wrong = Backup { key: format!("jrk_{}", "A".repeat(43)), file: backup.file.clone() };
    wrong.restore(&data_dir).run().await.fails(1, "recovery key");
    nothing_was_made();
    let none = Backup { key: "jrk_short".into(), file: backup.file.clone() };
    none.restore(&data_dir).run().await.fails(2, "JANUA_RECOVERY_KEY");
    let unkeyed = Janua::command(["restore"]).and(&backup.file).and("--data-dir").and(&data_dir);
    unkeyed.run().await.fails(2, "recovery key");
    nothing_was_made();

    let damaged = folder.path().join("damaged");
    let damaged = Backup { file: damaged, key: backup.key.clone() };
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut newer = whole.clone();
    newer[11] = 9;
    for (bytes, words) in [
        (whole[..whole.len() - 1].to_vec(), "cut short"),
        (whole[..whole.len() / 2].to_vec(), "cut short"),
        (whole[..40].to_vec(), "cut short"),
        (flipped(whole.len() / 2), "damaged"),
        (flipped(whole.len() - 1), "damaged"),
        ([&whole[..], b"more"].concat(), "damaged"),
        (newer, "newer version"),
        (b"no backup at all".to_vec(), "no backup"),
        (Vec::new(), "no backup"),
    ] {
        fs::write(&damaged.file, bytes).unwrap();
        damaged.restore(&data_dir).run().await.fails(1, words);
        nothing_was_made();
    }

    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join("mine"), "keep me").unwrap();
    backup.restore(&data_dir).run().await.fails(1, "not empty");
    assert_eq!(fs::read_to_string(data_dir.join("mine")).unwrap(), "keep me");
    backup.restore(&node.data_dir()).run().await.fails(1, "not empty");
}

#[tokio::test]
async fn a_backup_shows_no_secret_and_neither_does_the_log() {
    let level = "trace,hyper=trace,sled=info,openraft=info,raft_engine=info";
    let node = Node::with("log.level", level).start().await;
    node.register("alice-in-the-backup").await;
    let backup = Backup::of(&node, node.folder()).await;
    let bytes = fs::read(&backup.file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("alice-in-the-backup"), "a backup in clear");
    assert_eq!(mode(&backup.file), 0o600);
    node.stops().await;
    for secret in [&backup.key, &node.keys().operator] {
        assert!(!node.log.text().contains(secret.as_str()));
    }
}

#[tokio::test]
async fn a_backup_takes_the_key_that_it_was_given_and_no_other() {
    let node = Node::start().await;
    node.register("alice").await;
    let first = Backup::of(&node, node.folder()).await;
    let file = node.folder().join("other");
    let other = format!("jrk_{}", "B".repeat(42) + "A");
    let with_other = || {
        let command = Janua::command(["backup", "--json"]).and(&file).against(&node);
        command.with("JANUA_RECOVERY_KEY", &other)
    };
    with_other().run().await.fails(1, "--new-recovery-key");
    assert!(!file.exists());
    let taken = with_other().and("--new-recovery-key").run().await.succeeds();
    assert!(!taken.stdout.contains("jrk_"), "whoever gave a key has it");
    let with_wrong = Backup { file: file.clone(), key: first.key.clone() };
    let folder = tempfile::tempdir().unwrap();
    with_wrong.restore(&folder.path().join("data")).run().await.fails(1, "recovery key");
    let with_right = Backup { file: file.clone(), key: other };
    let restored = Restored::of(&with_right).await;
    restored.serves().await.api.login("alice@example.com", PASSWORD).await.is_yes(200);
    let again = Janua::command(["backup"]).and(&file).against(&node).run().await;
    again.fails(1, "exists already");
}

#[tokio::test]
async fn a_lone_survivor_becomes_a_cluster_of_its_own() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    node.kill_9();
    let recover = || Janua::command(["cluster", "recover", "--data-dir"]).and(node.data_dir());
    let asked = recover().run().await;
    assert_eq!(asked.code, Some(2));
    assert!(asked.stdout.contains("--yes") && asked.stdout.contains("shard 0"), "{}", asked.stdout);
    assert!(
        asked.stdout.contains(", until 20") && !asked.stdout.contains("1970"),
        "{}",
        asked.stdout
    );
    assert!(!asked.stdout.contains("no vote"), "{}", asked.stdout);
    node.restart().await;
    alice.session.is_alive().await;
    assert_eq!(node.stops().await, Some(0));
    let recovered = recover().and("--yes").and("--json").run().await.succeeds();
    let (done, survived) = (recovered.event("recovered"), recovered.event("survived"));
    assert_eq!((&done["tenants"], &done["removed"]), (&1.into(), &0.into()));
    assert!(done["ended"].as_u64() > Some(0), "{done}");
    let shards = survived["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 16);
    for shard in shards {
        assert_eq!((&shard["votes"], &shard["held"]), (&true.into(), &Value::Null));
        assert_eq!(done["positions"][shard["shard"].to_string()], shard["last"]);
    }
    // Nothing was ever written to most of them.
    assert!(shards[0]["lastTime"].is_string() && shards[15]["lastTime"].is_null(), "{survived}");
    node.restart().await;
    assert_eq!(alice.session.me().await.status, 401);
    alice.session.refresh().await.is_no(401, "session_revoked");
    alice.logs_in().await.is_alive().await;
    assert!(node.data_dir().join("before-recovery/log").exists());
    assert_eq!(node.stops().await, Some(0));
    chain_is_whole(&node.data_dir()).await;
}

#[tokio::test]
async fn an_interrupted_restore_is_not_served() {
    let node = Node::start().await;
    assert_eq!(node.stops().await, Some(0));
    fs::create_dir(node.data_dir().join(".unfinished")).unwrap();
    let mut process = Node::prepare().with_data_in(node.data_dir()).start_process();
    assert_eq!(process.ends().await.code(), Some(1));
    assert!(process.log.text().contains("has not come to its end"), "{}", process.log.text());
}

#[tokio::test]
async fn a_lost_operator_token_is_replaced_by_the_folder_of_a_node() {
    let node = Node::start().await;
    let reset = || {
        let command = Janua::command(["operator-token", "reset", "--json", "--data-dir"]);
        command.and(node.data_dir())
    };
    let token = async || {
        let reset = reset().run().await.succeeds().event("operatorToken");
        reset["operatorToken"].as_str().unwrap().to_owned()
    };
    let first = token().await;
    assert_eq!(node.stops().await, Some(0));
    let token = token().await;
    node.restart().await;
    let as_operator = async |token: &str| {
        let request = node.api.request(reqwest::Method::GET, "/admin/tenants");
        janua_tests::node::answer(request.bearer_auth(token)).await
    };
    as_operator(&token).await.is_yes(200);
    as_operator(&node.keys().operator).await.is_no(401, "invalid_token");
    as_operator(&first).await.is_no(401, "invalid_token");
    let nowhere = node.folder().join("nowhere");
    let absent =
        Janua::command(["operator-token", "reset", "--data-dir"]).and(&nowhere).run().await;
    absent.fails(1, "nowhere");
    assert!(!nowhere.exists());
}

async fn checked(backup: &Backup) -> Value {
    let check = Janua::command(["restore", "--check", "--json"]).and(&backup.file);
    check.with("JANUA_RECOVERY_KEY", &backup.key).run().await.succeeds().event("checked")
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().expect("a file").permissions().mode() & 0o777
}
