//! A start that cannot be: one clear line, the right exit code, and nothing damaged.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use janua_tests::folders::files;
use janua_tests::{Node, Setup, wait};

/// What the program said when it could not even begin, and its exit code: one line and nothing else.
async fn ends_at_once(setup: &Setup) -> (Option<i32>, String) {
    let mut process = setup.start_process();
    let status = process.ends().await;
    assert_eq!(process.log.text().lines().count(), 1, "{}", process.log.text());
    (status.code(), process.log.text())
}

/// The line that says why the program could not start, and its exit code.
async fn ends(setup: &Setup) -> (Option<i32>, String) {
    let mut process = setup.start_process();
    let status = process.ends().await;
    let log = process.log.text();
    let lines: Vec<_> = log.lines().filter(|line| line.starts_with("janua: ")).collect();
    assert_eq!(lines.len(), 1, "one line, not:\n{log}");
    assert!(!log.contains("panicked"), "{log}");
    (status.code(), lines[0].to_owned())
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Node::with("http.listen", &address);
    let (code, line) = ends_at_once(&setup).await;
    assert_eq!(code, Some(1));
    assert!(line.contains(&address), "{line}");
    drop(taken);
    let node = setup.with("http.listen", "127.0.0.1:0").start().await;
    node.register("alice").await;
}

#[tokio::test]
async fn a_folder_has_one_node_at_a_time() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let secret = "a-secret-of-the-operator-0123456789";
    let wrapped = Node::with("storage.key_secret", secret).with_data_in(node.data_dir());
    for second in [Node::prepare().with_data_in(node.data_dir()), wrapped] {
        let (code, line) = ends_at_once(&second).await;
        assert_eq!(code, Some(1));
        assert!(line.contains(&node.data_dir().display().to_string()), "{line}");
    }
    alice.session.is_alive().await;
    // It starts as before: nobody has wrapped its cluster key meanwhile.
    node.restart().await;
    alice.session.is_alive().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for data_dir in [file.clone(), file.join("data"), "/proc/janua".into()] {
        let (code, line) = ends_at_once(&Node::prepare().with_data_in(&data_dir)).await;
        assert_eq!(code, Some(1));
        assert!(line.contains(&data_dir.display().to_string()), "{line}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_left_alone() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    assert_eq!(node.stops().await, Some(0));
    let format = node.data_dir().join("format");
    let present = fs::read_to_string(&format).unwrap();
    fs::write(&format, "janua data 4000000000\n").unwrap();
    let (code, line) = ends(&Node::prepare().with_data_in(node.data_dir())).await;
    assert_eq!(code, Some(1));
    assert!(line.contains("4000000000") && line.contains("newer"), "{line}");
    assert_eq!(fs::read_to_string(&format).unwrap(), "janua data 4000000000\n");
    fs::write(&format, present).unwrap();
    node.restart().await;
    alice.session.is_alive().await;
}

#[tokio::test]
async fn nothing_is_put_into_a_folder_that_is_not_ours() {
    for format in ["janua data 4000000000\nshards 16\n", "a book\n"] {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("cluster.key");
        fs::write(folder.path().join("format"), format).unwrap();
        fs::write(&key, [0; 34]).unwrap();
        let secret = "a-secret-of-the-operator-0123456789";
        let setup = Node::with("storage.key_secret", secret).with_data_in(folder.path());
        let (code, line) = ends_at_once(&setup).await;
        assert_eq!(code, Some(1), "{line}");
        assert_eq!(fs::read(&key).unwrap(), [0; 34]);
        assert_eq!(fs::read_to_string(folder.path().join("format")).unwrap(), format);
        let found: BTreeSet<_> = files(folder.path()).into_iter().collect();
        let names = ["cluster.key", "format", "lock"].map(|name| folder.path().join(name));
        assert_eq!(found, BTreeSet::from(names));
    }
}

#[tokio::test]
async fn a_wrong_configuration_ends_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let setup = Node::with("tokens.access_ttl", "soon").with_data_in(&data_dir);
    let (code, line) = ends(&setup).await;
    assert_eq!(code, Some(2));
    assert!(line.contains("tokens.access_ttl") && line.contains("a duration"), "{line}");
    assert!(!data_dir.exists());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, "no certificate").unwrap();
    fs::write(&key, "no key").unwrap();
    let setup = Node::with("http.tls_certificate", certificate.display());
    let (code, line) = ends(&setup.with("http.tls_key", key.display())).await;
    assert_eq!(code, Some(2));
    assert!(line.contains("certificate.pem"), "{line}");
}

#[tokio::test]
async fn start_up_warns_of_what_is_left_open() {
    let open = Node::with("http.public_url", "https://id.example.com").start().await;
    for warning in
        ["requests without a key are accepted", "the cluster key lies in the data folder"]
    {
        wait::until(warning, async || open.log.text().contains(warning).then_some(())).await;
    }
    let closed = Node::with("http.public_url", "https://id.example.com")
        .with("tenancy.default_tenant", "")
        .with("storage.key_secret", "a-secret-of-the-operator-0123456789")
        .start()
        .await;
    assert!(!closed.log.text().contains("requests without a key"), "{}", closed.log.text());
    assert!(!closed.log.text().contains("the cluster key lies"), "{}", closed.log.text());
}

#[tokio::test]
async fn the_data_is_for_its_owner_alone() {
    let node = Node::start().await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&node.data_dir()), 0o700);
    assert_eq!(mode(&node.data_dir().join("cluster.key")), 0o600);
}

#[tokio::test]
async fn the_data_is_for_its_owner_alone_in_a_folder_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let open_to_all = |path: &std::path::Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let inner = || ["log", "snapshots", "state"].map(|name| folder.path().join(name));
    open_to_all(folder.path());
    let node = Node::prepare().with_data_in(folder.path()).start().await;
    for _ in 0..2 {
        for path in inner() {
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o700, "{}", path.display());
            // As an older version has left it.
            open_to_all(&path);
        }
        node.restart().await;
    }
}

#[tokio::test]
async fn a_missing_cluster_key_is_no_reason_to_make_another() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    assert_eq!(node.stops().await, Some(0));
    let (key, aside) = (node.data_dir().join("cluster.key"), node.folder().join("aside"));
    fs::rename(&key, &aside).unwrap();
    let (code, line) = ends(&Node::prepare().with_data_in(node.data_dir())).await;
    assert_eq!(code, Some(1));
    assert!(line.contains("cluster.key"), "{line}");
    assert!(!key.exists());
    fs::rename(&aside, &key).unwrap();
    node.restart().await;
    alice.session.is_alive().await;
}

#[tokio::test]
async fn a_wrapped_cluster_key_opens_with_its_own_wrapping_alone() {
    let secret = "a-secret-of-the-operator-0123456789";
    let node = Node::with("storage.key_secret", secret).start().await;
    let alice = node.register("alice").await;
    assert_eq!(node.stops().await, Some(0));
    let same_folder = || Node::prepare().with_data_in(node.data_dir());
    let other = same_folder().with("storage.key_secret", "another-secret-0123456789-0123456789");
    for setup in [same_folder(), other] {
        let (code, line) = ends(&setup).await;
        assert_eq!(code, Some(1));
        assert!(line.contains("cluster.key"), "{line}");
    }
    node.restart().await;
    alice.session.is_alive().await;
}

#[tokio::test]
async fn the_wrapping_of_the_cluster_key_changes_with_one_start() {
    let (first, second) =
        (format!("first-{}", "s".repeat(32)), format!("second-{}", "s".repeat(32)));
    let node = Node::start().await;
    let alice = node.register("alice").await;
    assert_eq!(node.stops().await, Some(0));
    let same_folder = || Node::prepare().with_data_in(node.data_dir());
    let wrapped = same_folder().with("storage.key_secret", &first).start().await;
    assert_eq!(wrapped.stops().await, Some(0));
    let (code, line) = ends(&same_folder()).await;
    assert_eq!(code, Some(1), "the key lies bare no more: {line}");
    let changed = same_folder()
        .with("storage.key_secret", &second)
        .with("storage.previous_key_secret", &first)
        .start()
        .await;
    assert_eq!(changed.stops().await, Some(0));
    let (code, _) = ends(&same_folder().with("storage.key_secret", &first)).await;
    assert_eq!(code, Some(1), "the old wrapping opens nothing any more");
    let node = same_folder().with("storage.key_secret", &second).start().await;
    node.api.me(&alice.session.access_token).await.is_yes(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_burst_after_a_start_is_served() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for _ in 0..5 {
        node.restart().await;
        let token = alice.session.access_token.clone();
        let answers = janua_tests::at_once(64, |_| {
            let (api, token) = (node.api.over_new_connections(), token.clone());
            async move { api.me(&token).await.status }
        });
        let refused = answers.await.into_iter().filter(|status| *status != 200).count();
        assert_eq!(refused, 0, "of 64");
    }
}
