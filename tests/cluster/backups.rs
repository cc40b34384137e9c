//! Backups of a cluster are taken at any of its nodes, whatever that node holds.

use std::path::Path;

use janua_tests::cluster::{Cluster, OPERATOR_TOKEN, SECRET};
use janua_tests::command::{Backup, Janua};
use janua_tests::people::PASSWORD;
use janua_tests::{Node, User};

/// A node of its own, on a folder that was made of a cluster's.
async fn alone(data_dir: &Path) -> Node {
    Node::prepare().with_data_in(data_dir).with("cluster.shards", 4).start().await
}

async fn restored(backup: &Backup) -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join("data");
    backup.restore(&data_dir).run().await.succeeds();
    let node = alone(&data_dir).await;
    (folder, node)
}

async fn knows(node: &Node, users: &[User]) {
    for user in users {
        let login = node.api.login(&user.email, PASSWORD).await.is_yes(200);
        assert_eq!(login.text_of("user.id"), user.id);
    }
}

#[tokio::test]
async fn a_backup_at_any_node_has_also_what_that_node_does_not_hold() {
    let cluster = Cluster::of(5).await;
    let mut users = Vec::new();
    for number in 1..=5 {
        users.push(cluster.node(number).register(&format!("user-{number}")).await);
    }
    let first = Backup::of(cluster.node(1), cluster.node(1).folder()).await;
    users.push(cluster.node(2).register("later").await);
    let again = async |number: usize| {
        let node = cluster.node(number);
        let backup = Backup { file: node.folder().join("another"), key: first.key.clone() };
        let command = Janua::command(["backup", "--json"]).and(&backup.file).against(node);
        command.run().await.succeeds();
        backup
    };
    let (fourth, fifth) = tokio::join!(again(4), again(5));
    let (_folder, node) = restored(&first).await;
    knows(&node, &users[..5]).await;
    for backup in [fourth, fifth] {
        let (_folder, node) = restored(&backup).await;
        knows(&node, &users).await;
        let tenants = node.api.request(reqwest::Method::GET, "/admin/tenants");
        let tenants = janua_tests::node::answer(tenants.bearer_auth(OPERATOR_TOKEN)).await;
        assert_eq!(tenants.is_yes(200).data()["totalCount"], 1);
    }
}

#[tokio::test]
async fn a_survivor_of_three_becomes_a_cluster_of_its_own() {
    let cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    for number in 1..=3 {
        cluster.node(number).kill_9();
    }
    let data_dir = cluster.node(2).data_dir();
    let recover = Janua::command(["cluster", "recover", "--yes", "--json", "--data-dir"]);
    let recovered = recover.and(&data_dir).run().await.succeeds();
    assert_eq!(recovered.event("recovered")["tenants"], 1);
    let node = alone(&data_dir).await;
    assert_eq!(node.api.me(&alice.session.access_token).await.status, 401);
    knows(&node, &[alice]).await;
}

#[tokio::test]
async fn nothing_is_recovered_of_a_cluster_that_lives() {
    let cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    let data_dir = cluster.node(2).data_dir();
    let recover = |arguments: &[&str]| {
        let command = Janua::command(["cluster", "recover", "--yes", "--data-dir"]).and(&data_dir);
        let command = command.with("JANUA_CLUSTER__SECRET", SECRET);
        arguments.iter().fold(command, |command, argument| command.and(argument))
    };
    cluster.node(2).kill_9();
    recover(&[]).run().await.fails(1, "no quorum is lost: node 1 (");
    // One that stands still may wake, and the two of them are a quorum.
    cluster.node(1).kill_9();
    cluster.node(3).signal("STOP");
    recover(&[]).run().await.fails(1, "node 3 (");
    cluster.node(3).signal("CONT");
    cluster.node(2).restart().await;
    alice.session.at(cluster.node(2)).comes_back().await;

    cluster.node(2).kill_9();
    let recovered = recover(&["--although-others-live", "--json"]).run().await.succeeds();
    assert_eq!(recovered.event("survived")["living"][0]["node"], 3);
    assert_eq!(recovered.event("recovered")["tenants"], 1);
    let node = alone(&data_dir).await;
    knows(&node, &[alice]).await;
}

#[tokio::test]
async fn a_lost_operator_token_is_replaced_while_the_cluster_serves() {
    let cluster = Cluster::of(3).await;
    let as_operator = async |number: usize, token: &str| {
        let request = cluster.node(number).api.request(reqwest::Method::GET, "/admin/tenants");
        janua_tests::node::answer(request.bearer_auth(token)).await
    };
    let data_dir = cluster.node(2).data_dir();
    let reset = |secret: &str| {
        let command = Janua::command(["operator-token", "reset", "--json", "--data-dir"]);
        command.and(&data_dir).with("JANUA_CLUSTER__SECRET", secret)
    };
    reset("some-other-secret-0123456789-abcdef").run().await.fails(1, "cluster.secret");
    as_operator(1, OPERATOR_TOKEN).await.is_yes(200);
    let token = reset(SECRET).run().await.succeeds().event("operatorToken");
    let token = token["operatorToken"].as_str().unwrap();
    for number in 1..=3 {
        as_operator(number, token).await.is_yes(200);
        as_operator(number, OPERATOR_TOKEN).await.is_no(401, "invalid_token");
    }
}
