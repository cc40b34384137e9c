//! A program that nobody listens to: what cannot be written is lost, and nothing with it.

use std::fs;

use janua_tests::Node;
use janua_tests::people::PASSWORD;

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
