//! A program that nobody listens to: what cannot be written is lost, and nothing with it.

use std::fs;

use janua_tests::command::Janua;
use janua_tests::people::PASSWORD;
use janua_tests::{Node, wait};

#[tokio::test]
async fn a_node_whose_log_cannot_be_written_goes_on() {
    let node = Node::prepare().unheard().start().await;
    // Each of these has something to log: the postman of a mail, the pipeline of a no.
    let alice = node.register("alice").await;
    node.api.me("nonsense").await.is_no(401, "invalid_token");
    node.register("bob").await;
    alice.session.is_alive().await;
    node.api.login(&alice.email, PASSWORD).await.is_yes(200);
    assert_eq!(node.api.get("/health/ready").await.status, 200);
    assert_eq!(node.stops().await, Some(0));
    assert_eq!(node.log.text(), "", "it could be written");
}

#[tokio::test]
async fn the_exit_code_says_what_no_line_can() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let unusable = Node::prepare().with_data_in(&file).unheard();
    assert_eq!(unusable.start_process().ends().await.code(), Some(1));
    let mistaken = Node::with("tokens.access_ttl", "soon").unheard();
    assert_eq!(mistaken.start_process().ends().await.code(), Some(2));
}

#[tokio::test]
async fn keys_that_nobody_has_seen_can_be_drawn_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = || folder.path().join("data");
    let mut unseen = Node::prepare().with_data_in(data()).unseen().start_process();
    assert_eq!(unseen.ends().await.code(), Some(1));
    for words in ["janua operator-token reset", "janua key create --tenant default"] {
        assert!(unseen.log.text().contains(words), "{}", unseen.log.text());
    }
    let reset = Janua::command(["operator-token", "reset", "--json", "--data-dir"]).and(data());
    let token = reset.run().await.succeeds().json()["operatorToken"].clone();
    let node = Node::prepare().with_data_in(data()).start().await;
    let key =
        Janua::command(["key", "create", "--tenant", "default", "--type", "secret", "--json"])
            .with("JANUA_URL", node.api.base())
            .with("JANUA_OPERATOR_TOKEN", token.as_str().expect("a token"));
    key.run().await.succeeds();
}

#[tokio::test]
async fn a_node_serves_although_nobody_reads_where() {
    let given = |prefix: &str| format!("{prefix}{}", "k".repeat(32));
    let setup = Node::with("bootstrap.publishable_key", given("jpk_"))
        .with("bootstrap.secret_key", given("jsk_"))
        .with("bootstrap.operator_token", given("jop_"));
    let mut process = setup.unseen().start_process();
    wait::until("it says what it could not say", async || {
        process.log.text().contains("standard output cannot be written").then_some(())
    })
    .await;
    process.signal("TERM");
    assert_eq!(process.ends().await.code(), Some(0));
}
