//! Nodes of two versions serve side by side; what is newer waits until all understand it.

use std::sync::atomic::{AtomicUsize, Ordering};

use janua_tests::cluster::Cluster;
use janua_tests::{Node, wait};

const NEW: [&str; 2] = ["--set", "cluster.speak_as=2"];
const OLD: [&str; 2] = ["--set", "cluster.speak_as=1"];

/// Two nodes of the first version, and one of the second.
async fn mixed() -> Cluster {
    let made = AtomicUsize::new(0);
    let base = move || match made.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Node::with("cluster.speak_as", 1),
        _ => Node::with("cluster.speak_as", 2),
    };
    Cluster::made_of(3, 4, Box::new(base)).await
}

async fn has_versions(cluster: &Cluster, by: usize, agreed: u64, versions: &[u64]) {
    wait::until("the nodes have these versions", async || {
        let status = cluster.seen_by(by).await?;
        (status.agreed_version() == Some(agreed) && status.versions() == versions).then_some(())
    })
    .await;
}

/// What a node's folder says of its data.
fn folder_version(node: &Node) -> String {
    let format = std::fs::read_to_string(node.data_dir().join("format")).expect("a file");
    format.lines().next().unwrap_or_default().to_owned()
}

/// Tries to start a node, which gives up; its exit code, and what it said.
async fn refuses(node: &Node, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let before = node.log.text().len();
    node.begin_again(arguments);
    let code = node.ends().await;
    let log = node.log.text()[before..].to_owned();
    let lines = log.lines().filter(|line| line.starts_with("janua: "));
    (code, lines.map(str::to_owned).collect())
}

#[tokio::test]
async fn what_is_newer_waits_until_every_node_understands_it() {
    let cluster = mixed().await;
    let alice = cluster.node(3).register("alice").await;
    has_versions(&cluster, 1, 1, &[1, 1, 2]).await;
    assert_eq!(folder_version(cluster.node(3)), "janua data 1");
    for number in 1..=3 {
        let no = cluster.replicates(number, 5).await.is_no(503, "service_unavailable");
        let message = no.body["error"]["message"].as_str().expect("a message");
        assert!(message.contains("wait until every node runs version 2"), "{message}");
        assert!(message.contains("node-1, node-2"), "{message}");
    }
    assert_eq!(cluster.node(1).stops().await, Some(0));
    cluster.node(1).restart_with(&NEW).await;
    has_versions(&cluster, 2, 1, &[2, 1, 2]).await;
    cluster.replicates(1, 5).await.is_no(503, "service_unavailable");
    assert_eq!(cluster.node(2).stops().await, Some(0));
    cluster.node(2).restart_with(&NEW).await;
    for number in 1..=3 {
        has_versions(&cluster, number, 2, &[2, 2, 2]).await;
    }
    for number in 1..=3 {
        // A program that knows nothing of versions leaves the folder alone by this.
        let node = cluster.node(number);
        wait::until("the folder says so", async || {
            (folder_version(node) == "janua data 2").then_some(())
        })
        .await;
    }
    let changed = cluster.replicates(2, 5).await.is_yes(200);
    assert_eq!(changed.data()["replicas"], 5);
    alice.session.at(cluster.node(1)).comes_back().await;
}

#[tokio::test]
async fn who_is_older_than_the_cluster_does_not_take_part() {
    let mut cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    has_versions(&cluster, 1, 2, &[2, 2, 2]).await;
    assert_eq!(cluster.node(2).stops().await, Some(0));
    let (code, lines) = refuses(cluster.node(2), &OLD).await;
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:?}");
    assert!(lines[0].contains("it speaks version 1"), "{lines:?}");
    assert!(lines[0].contains("the cluster has agreed on version 2"), "{lines:?}");
    cluster.node(2).restart_with(&NEW).await;
    alice.session.at(cluster.node(2)).comes_back().await;

    let mut newcomer = cluster.next_node().with("cluster.speak_as", 1).start_process();
    assert_eq!(newcomer.ends().await.code(), Some(2));
    let log = newcomer.log.text();
    assert!(log.contains("janua: the cluster does not take this node in"), "{log}");
    assert!(log.contains("agreed on version 2"), "{log}");
    assert_eq!(cluster.status().await.expect("a status").versions(), [2, 2, 2]);
}

#[tokio::test]
async fn who_was_away_when_the_cluster_agreed_is_told_when_it_starts() {
    let cluster = mixed().await;
    has_versions(&cluster, 1, 1, &[1, 1, 2]).await;
    assert_eq!(cluster.node(3).stops().await, Some(0));
    for number in [1, 2] {
        cluster.node(number).stops().await;
        cluster.node(number).restart_with(&NEW).await;
    }
    has_versions(&cluster, 1, 2, &[2, 2, 2]).await;
    let (code, lines) = refuses(cluster.node(3), &OLD).await;
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:?}");
    assert!(lines[0].contains("the cluster has agreed on version 2"), "{lines:?}");
    cluster.node(3).restart_with(&NEW).await;
    cluster.node(3).register("alice").await;
}
