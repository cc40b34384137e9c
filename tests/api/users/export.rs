//! What is held on a user: shown to them whole, and gone when they are.

use janua_storage::capability::audit;
use janua_storage::engine::{Options, Parts, Shards};
use janua_storage::event::Event;
use janua_storage::ids::TenantNumber;
use janua_storage::view::View;
use janua_tests::Node;
use janua_tests::response::has_exactly;
use janua_tests::wait;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_user_gets_everything_that_is_held_on_them() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    alice.logs_in().await;
    let export = alice.session.get("/users/me/export").await.is_yes(200);
    has_exactly(
        export.data(),
        &[
            "user",
            "sessions",
            "devices",
            "identities",
            "passkeys",
            "mfa",
            "events",
            "eventsComplete",
        ],
    );
    assert_eq!(export.header("cache-control"), "no-store");
    assert_eq!(export.data()["user"]["email"], "alice@example.com");
    assert_eq!(export.data()["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(export.data()["devices"].as_array().unwrap().len(), 1);
    let events = export.data()["events"].as_array().unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event["eventType"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["user.created", "session.created", "user.login_failed", "user.login", "session.created",]
    );
    assert!(events.iter().all(|event| event["userId"] == json!(alice.id)));
    assert_eq!(export.data()["eventsComplete"], true);
    for secret in [&bob.id, &bob.email, "$argon2"] {
        assert!(!export.text.contains(secret), "{secret} is shown");
    }
}

/// The events of a node that does not run, and whether any part of its state is still to be erased.
async fn events_at_rest(node: &Node) -> (Vec<Event>, usize) {
    let shards = Shards::open(Options::new(node.data_dir()), Parts::default()).await;
    let shards = shards.unwrap_or_else(|error| panic!("{error}"));
    let records = shards.of(TenantNumber::DEFAULT).read().await.expect("the shard serves");
    let verified = audit::verify(&records, TenantNumber::DEFAULT).expect("events");
    assert_eq!(verified.first_invalid, None, "the chain is broken");
    let view = View::new(&records, TenantNumber::DEFAULT);
    let mut all = Vec::new();
    view.events(0, |events| {
        all.extend(events);
        std::ops::ControlFlow::Continue(())
    })
    .expect("events");
    let waiting = view.forgettings().expect("records").len();
    drop(records);
    shards.close().await;
    (all, waiting)
}

#[tokio::test]
async fn nothing_in_the_audit_log_names_a_deleted_user_and_it_still_verifies() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let agent = "Names-Alice/1.0";
    let login = json!({ "email": alice.email, "password": alice.password,
        "deviceInfo": { "userAgent": agent } });
    node.api.post("/auth/login", login).await.is_yes(200);
    alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    bob.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    let path = format!("/users/{}", alice.id);
    janua_tests::node::answer(node.server(Method::DELETE, &path)).await.is_yes(200);
    wait::until("the audit log has forgotten her", async || {
        let metrics = node.api.get("/metrics").await.text;
        metrics.contains("janua_users_forgotten_total 1").then_some(())
    })
    .await;
    node.stops().await;
    let (events, waiting) = events_at_rest(&node).await;
    assert_eq!(waiting, 0);
    let shown = |event: &Event| audit::to_json(event).to_string();
    let of_alice: Vec<_> = events
        .iter()
        .filter(|event| event.user.map(|id| id.to_string()) == Some(alice.id.clone()))
        .collect();
    assert!(of_alice.len() >= 8, "{of_alice:?}");
    for event in of_alice {
        assert!(event.salt.is_none(), "{}", shown(event));
        assert!(!shown(event).contains("127.0.0.1"), "{}", shown(event));
    }
    let all: Vec<_> = events.iter().map(shown).collect();
    let all = all.join("\n");
    assert!(!all.contains(&alice.email) && !all.contains(agent), "{all}");
    assert!(all.contains(&bob.email), "others are not forgotten");
}
