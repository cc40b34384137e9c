//! The cluster, as its operator sees it: here, one of a single node.

use janua_tests::Node;
use janua_tests::node::answer;
use janua_tests::wait::until;
use reqwest::Method;

#[tokio::test]
async fn a_lone_node_leads_and_holds_everything() {
    let node = Node::with("node.name", "only").start().await;
    let operator = node.keys().operator;
    // It enters itself into the records as soon as it serves.
    let cluster = until("the node among the nodes", async || {
        let shown = node.api.request(Method::GET, "/admin/cluster").bearer_auth(&operator);
        let cluster = answer(shown).await.is_yes(200).data().clone();
        (!cluster["nodes"].as_array()?.is_empty()).then_some(cluster)
    })
    .await;
    assert_eq!(cluster["clusterId"].as_str().unwrap().len(), 32);
    assert_eq!(cluster["nodes"].as_array().unwrap().len(), 1);
    let only = &cluster["nodes"][0];
    assert_eq!((&only["name"], &only["state"]), (&"only".into(), &"member".into()));
    assert_eq!(only["httpAddress"], node.api.address());
    assert_eq!(only["leads"].as_array().unwrap().len(), 16);
    let shard = &cluster["shards"][1];
    assert_eq!((&shard["leader"], &shard["tenants"]), (&1.into(), &1.into()));
    assert_eq!(shard["replicas"][0]["role"], "leader");
    assert_eq!(shard["replicas"][0]["lagEntries"], 0);
}

#[tokio::test]
async fn the_last_node_stays() {
    let node = Node::start().await;
    let operator = node.keys().operator;
    let remove = |id: &str| {
        let path = format!("/admin/cluster/nodes/{id}");
        answer(node.api.request(Method::DELETE, &path).bearer_auth(&operator))
    };
    remove("1").await.is_no(400, "validation_error");
    remove("9").await.is_no(404, "resource_not_found");
    remove("nobody").await.is_no(404, "resource_not_found");
    node.register("alice").await;
}

#[tokio::test]
async fn leaders_are_put_in_their_places_on_request() {
    let node = Node::start().await;
    let operator = node.keys().operator;
    let asked = node.api.request(Method::POST, "/admin/cluster/rebalance").bearer_auth(&operator);
    answer(asked).await.is_yes(200);
    node.register("alice").await;
}
