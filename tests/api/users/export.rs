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

#[tokio::test]
async fn events_that_no_answer_could_hold_come_page_by_page_and_none_is_passed_over() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    // Commands of one event and of several, with somebody else's in between.
    for _ in 0..6 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
        bob.logs_in().await;
        alice.logs_in().await;
        if alice.session.list().await.len() == 4 {
            alice.session.delete("/sessions").await.is_yes(200);
        }
    }
    let whole = alice.session.get("/users/me/export").await.is_yes(200);
    let sequences = |events: &serde_json::Value| -> Vec<u64> {
        let events = events.as_array().expect("a list").iter();
        events.map(|event| event["sequence"].as_u64().expect("a sequence")).collect()
    };
    let all = sequences(&whole.data()["events"]);
    assert!(all.len() > 20, "{all:?}");
    for limit in [1, 2, 3, 7, all.len() - 1, all.len()] {
        let (mut found, mut pages, mut after) = (Vec::new(), 0, 0);
        loop {
            let path = format!("/users/me/export?limit={limit}&after={after}");
            let page = alice.session.get(&path).await.is_yes(200);
            found.extend(sequences(&page.data()["events"]));
            pages += 1;
            match page.data()["next"].as_u64() {
                Some(next) => after = next,
                None => {
                    assert_eq!(page.data()["eventsComplete"], true);
                    assert_eq!(page.data()["user"]["email"], alice.email.as_str());
                    break;
                }
            }
            assert_eq!(page.data()["eventsComplete"], false);
        }
        assert_eq!((found, pages), (all.clone(), all.len().div_ceil(limit)), "{limit} a page");
    }
    // From anywhere, and from behind the end.
    for after in 0..=all[all.len() - 1] + 1 {
        let page = alice.session.get(&format!("/users/me/export?after={after}")).await.is_yes(200);
        let rest: Vec<_> = all.iter().copied().filter(|sequence| *sequence > after).collect();
        assert_eq!(sequences(&page.data()["events"]), rest, "after {after}");
    }
    for wrong in ["limit=0", "limit=10001", "limit=x", "after=-1", "after=1&after=2"] {
        let refused = alice.session.get(&format!("/users/me/export?{wrong}")).await;
        refused.is_no(400, "validation_error");
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
