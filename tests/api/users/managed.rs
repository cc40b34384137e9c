//! Users in the hands of a server: found, created, changed, suspended, ended.

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::{has_exactly, unix_seconds};
use janua_tests::{Node, Response, Session};
use reqwest::Method;
use serde_json::{Value, json};

const MANAGED: [&str; 19] = [
    "id",
    "email",
    "firstName",
    "lastName",
    "emailVerified",
    "phoneNumber",
    "phoneVerified",
    "avatar",
    "mfaEnabled",
    "createdAt",
    "lastActiveAt",
    "metadata",
    "status",
    "lockedUntil",
    "hasPassword",
    "sessionCount",
    "deviceCount",
    "identityCount",
    "passkeyCount",
];

async fn get(node: &Node, path: &str) -> Response {
    answer(node.server(Method::GET, path)).await
}

async fn post(node: &Node, path: &str, body: Value) -> Response {
    answer(node.server(Method::POST, path).json(&body)).await
}

async fn patch(node: &Node, id: &str, body: Value) -> Response {
    answer(node.server(Method::PATCH, &format!("/users/{id}")).json(&body)).await
}

async fn delete(node: &Node, path: &str) -> Response {
    answer(node.server(Method::DELETE, path)).await
}

/// Users without a password, whose creation costs nothing; their ids.
async fn create(node: &Node, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        let body = json!({ "email": format!("{name}@example.com"), "firstName": name });
        ids.push(post(node, "/users", body).await.is_yes(201).text_of("id"));
    }
    ids
}

fn emails(answer: &Response) -> Vec<&str> {
    let users = answer.data()["users"].as_array().expect("a list");
    users.iter().map(|user| user["email"].as_str().expect("an address")).collect()
}

#[tokio::test]
async fn a_server_creates_users_who_can_log_in() {
    let node = Node::start().await;
    let body = json!({
        "email": "Ada@Example.com", "password": PASSWORD, "firstName": "Ada", "lastName": "King",
        "phoneNumber": "+14155550123", "emailVerified": true, "metadata": { "plan": "pro" },
    });
    let created = post(&node, "/users", body.clone()).await.is_yes(201);
    has_exactly(created.data(), &MANAGED);
    assert_eq!(created.data()["email"], "ada@example.com");
    assert_eq!(created.data()["emailVerified"], true);
    assert_eq!(created.data()["phoneVerified"], false);
    assert_eq!(created.data()["status"], "active");
    assert_eq!(created.data()["lockedUntil"], Value::Null);
    assert_eq!(created.data()["hasPassword"], true);
    assert_eq!(created.data()["metadata"], json!({ "plan": "pro" }));
    let shown = get(&node, &format!("/users/{}", created.text_of("id"))).await.is_yes(200);
    assert_eq!(shown.data(), created.data());
    node.api.login("ada@example.com", PASSWORD).await.is_yes(200);
    post(&node, "/users", body).await.is_no(409, "email_already_exists");
    let weak = json!({ "email": "bob@example.com", "password": "password1" });
    post(&node, "/users", weak).await.is_no(422, "weak_password");
    let wrong = post(&node, "/users", json!({ "phoneNumber": "call me" })).await;
    let wrong = wrong.is_no(400, "validation_error");
    assert_eq!(wrong.fields_at_fault(), ["email", "phoneNumber"].into());
}

#[tokio::test]
async fn a_repeated_creation_happens_once() {
    let node = Node::start().await;
    let create = async || {
        let request = node.server(Method::POST, "/users").header("Idempotency-Key", "ada-once");
        answer(request.json(&json!({ "email": "ada@example.com", "password": PASSWORD }))).await
    };
    let first = create().await.is_yes(201);
    assert_eq!(create().await.is_yes(201).body, first.body);
    assert_eq!(get(&node, "/users").await.data()["totalCount"], 1);
}

#[tokio::test]
async fn a_user_without_a_password_cannot_log_in_with_one() {
    let node = Node::start().await;
    create(&node, &["ada"]).await;
    node.api.login("ada@example.com", PASSWORD).await.is_no(401, "invalid_credentials");
}

#[tokio::test]
async fn users_are_listed_in_the_order_of_their_coming_and_none_is_passed_over() {
    let node = Node::start().await;
    let names = ["ada", "bob", "cleo", "dora", "eve"];
    let ids = create(&node, &names).await;
    let all = get(&node, "/users").await.is_yes(200);
    has_exactly(all.data(), &["users", "totalCount", "hasMore", "next"]);
    let addresses = names.map(|name| format!("{name}@example.com"));
    assert_eq!(emails(&all), addresses);
    assert_eq!((&all.data()["totalCount"], &all.data()["hasMore"]), (&json!(5), &json!(false)));
    let page = get(&node, "/users?limit=2&offset=2").await.is_yes(200);
    assert_eq!(emails(&page), addresses[2..4]);
    assert_eq!((&page.data()["totalCount"], &page.data()["hasMore"]), (&json!(5), &json!(true)));
    // Whoever was on an earlier page goes; the next page begins where the last one ended all the same.
    delete(&node, &format!("/users/{}", ids[0])).await.is_yes(200);
    let next = format!("/users?limit=2&after={}", page.text_of("next"));
    let last = get(&node, &next).await.is_yes(200);
    assert_eq!(emails(&last), addresses[4..]);
    assert_eq!((&last.data()["hasMore"], &last.data()["next"]), (&json!(false), &Value::Null));
    assert_eq!(last.data()["totalCount"], 4, "those on the pages before are of them");
    get(&node, "/users?unknown=1&unknown=2").await.is_yes(200);
    for wrong in ["limit=0", "limit=101", "limit=x", "offset=-1", "limit=1&limit=2", "after=me"] {
        get(&node, &format!("/users?{wrong}")).await.is_no(400, "validation_error");
    }
}

#[tokio::test]
async fn users_are_found_by_what_is_known_of_them() {
    let node = Node::start().await;
    let ids = create(&node, &["ada", "bob", "cleo"]).await;
    let changes = json!({ "firstName": "Ada", "lastName": "Lovelace", "emailVerified": true });
    patch(&node, &ids[0], changes).await.is_yes(200);
    post(&node, &format!("/users/{}/suspend", ids[1]), json!({})).await.is_yes(200);
    let created = get(&node, &format!("/users/{}", ids[0])).await.text_of("createdAt");
    for (query, expected) in [
        ("search=LOVELACE", vec!["ada@example.com"]),
        ("search=ada%20love", vec!["ada@example.com"]),
        ("search=cleo@ex", vec!["cleo@example.com"]),
        ("search=nobody", vec![]),
        ("email=Bob@Example.com", vec!["bob@example.com"]),
        ("email=bob@example.com&status=active", vec![]),
        ("status=suspended", vec!["bob@example.com"]),
        ("emailVerified=true", vec!["ada@example.com"]),
        ("emailVerified=false&status=active", vec!["cleo@example.com"]),
        ("createdBefore=2020-01-01T00:00:00Z", vec![]),
        ("createdBefore=1969-01-01T00:00:00Z", vec![]),
        ("createdAfter=1969-01-01T00:00:00Z&search=cleo", vec!["cleo@example.com"]),
        ("createdAfter=2999-01-01T00:00:00Z", vec![]),
    ] {
        let found = get(&node, &format!("/users?{query}")).await.is_yes(200);
        assert_eq!(emails(&found), expected, "{query}");
        assert_eq!(found.data()["totalCount"], expected.len(), "{query}");
    }
    let since = get(&node, &format!("/users?createdAfter={created}")).await.is_yes(200);
    assert_eq!(emails(&since).len(), 3);
    for wrong in ["status=gone", "emailVerified=1", "createdAfter=yesterday", "email=x"] {
        get(&node, &format!("/users?{wrong}")).await.is_no(400, "validation_error");
    }
}

#[tokio::test]
async fn a_server_changes_what_users_cannot() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let changed = patch(&node, &alice.id, json!({ "emailVerified": true, "lastName": "Hale" }));
    let changed = changed.await.is_yes(200);
    has_exactly(changed.data(), &MANAGED);
    assert_eq!(changed.data()["emailVerified"], true);
    let moved = patch(&node, &alice.id, json!({ "email": "Alice@Elsewhere.example" })).await;
    let moved = moved.is_yes(200);
    assert_eq!(moved.data()["email"], "alice@elsewhere.example");
    assert_eq!(
        moved.data()["emailVerified"],
        false,
        "the new address is nobody's until it is shown"
    );
    assert_eq!(moved.data()["lastName"], "Hale");
    alice.session.is_alive().await;
    node.api.login("alice@elsewhere.example", &alice.password).await.is_yes(200);
    alice.guesses(&alice.password).await.is_no(401, "invalid_credentials");
    node.register("alice").await;
    let both = json!({ "email": "a@third.example", "emailVerified": true });
    assert_eq!(patch(&node, &alice.id, both).await.data()["emailVerified"], true);
    let taken = patch(&node, &alice.id, json!({ "email": bob.email, "firstName": "Eve" })).await;
    taken.is_no(409, "email_already_exists");
    assert_eq!(alice.session.me().await.data()["firstName"], Value::Null);
    let cleared = patch(&node, &alice.id, json!({ "lastName": null, "phoneVerified": true })).await;
    assert_eq!(cleared.data()["lastName"], Value::Null);
    assert_eq!(cleared.data()["phoneVerified"], false, "there is no number to be verified");
}

#[tokio::test]
async fn another_password_by_a_server_ends_all_sessions_and_opens_the_account() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for _ in 0..5 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    let weak = patch(&node, &alice.id, json!({ "password": "alice@example.com" })).await;
    weak.is_no(422, "weak_password");
    let changed = patch(&node, &alice.id, json!({ "password": "A-second-river-41!" })).await;
    assert_eq!(changed.is_yes(200).data()["sessionCount"], 0);
    alice.session.is_over().await;
    alice.guesses(&alice.password).await.is_no(401, "invalid_credentials");
    alice.guesses("A-second-river-41!").await.is_yes(200);
    let named = |name: &str| json!({ "firstName": name, "password": "Bartholomew-river-41!" });
    let weak = patch(&node, &alice.id, named("Bartholomew")).await;
    weak.is_no(422, "weak_password");
    patch(&node, &alice.id, json!({ "firstName": "Bartholomew" })).await.is_yes(200);
    patch(&node, &alice.id, named("Alice")).await.is_yes(200);
    alice.guesses("Bartholomew-river-41!").await.is_yes(200);
}

#[tokio::test]
async fn a_suspended_user_is_out_at_once_until_taken_back() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let path = format!("/users/{}", alice.id);
    let suspended = post(&node, &format!("{path}/suspend"), json!({})).await.is_yes(200);
    has_exactly(suspended.data(), &MANAGED);
    assert_eq!(
        (&suspended.data()["status"], &suspended.data()["sessionCount"]),
        (&json!("suspended"), &json!(0))
    );
    for session in [&alice.session, &phone] {
        session.is_over().await;
    }
    alice.guesses(&alice.password).await.is_no(403, "account_suspended");
    alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    post(&node, &format!("{path}/suspend"), json!({})).await.is_yes(200);
    node.restart().await;
    alice.guesses(&alice.password).await.is_no(403, "account_suspended");
    let back = post(&node, &format!("{path}/reactivate"), json!({})).await.is_yes(200);
    assert_eq!(back.data()["status"], "active");
    alice.logs_in().await.is_alive().await;
    phone.is_over().await;
}

#[tokio::test]
async fn a_locked_user_shows_it_and_is_forgiven_by_a_server() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for _ in 0..5 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    let path = format!("/users/{}", alice.id);
    let locked = get(&node, &path).await.is_yes(200);
    assert!(
        unix_seconds(&locked.data()["lockedUntil"]) > unix_seconds(&locked.data()["createdAt"])
    );
    assert_eq!(get(&node, "/users").await.data()["users"][0], *locked.data());
    let open = post(&node, &format!("{path}/unlock"), json!({})).await.is_yes(200);
    assert_eq!(open.data()["lockedUntil"], Value::Null);
    alice.logs_in().await;
}

#[tokio::test]
async fn a_server_sees_and_ends_a_users_sessions() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    alice.logs_in().await;
    let path = format!("/users/{}/sessions", alice.id);
    let listed = get(&node, &path).await.is_yes(200);
    let sessions = listed.data()["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    has_exactly(
        &sessions[0],
        &[
            "id",
            "deviceId",
            "userAgent",
            "ipAddress",
            "location",
            "isCurrent",
            "createdAt",
            "lastActiveAt",
            "expiresAt",
        ],
    );
    assert!(sessions.iter().all(|session| session["isCurrent"] == false));
    assert_eq!(delete(&node, &path).await.is_yes(200).data(), &json!({ "revokedCount": 2 }));
    alice.session.is_over().await;
    bob.session.is_alive().await;
}

#[tokio::test]
async fn a_server_deletes_a_user_with_all_sessions() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let path = format!("/users/{}", alice.id);
    let gone = delete(&node, &path).await.is_yes(200);
    assert_eq!(gone.body, json!({ "success": true, "message": "User deleted successfully" }));
    assert_eq!(alice.session.me().await.status, 401);
    alice.guesses(&alice.password).await.is_no(401, "invalid_credentials");
    for answer in [
        get(&node, &path).await,
        get(&node, &format!("{path}/sessions")).await,
        delete(&node, &path).await,
        delete(&node, &format!("{path}/sessions")).await,
        patch(&node, &alice.id, json!({ "firstName": "Eve" })).await,
        post(&node, &format!("{path}/suspend"), json!({})).await,
        post(&node, &format!("{path}/reactivate"), json!({})).await,
        post(&node, &format!("{path}/unlock"), json!({})).await,
    ] {
        answer.is_no(404, "resource_not_found");
    }
    node.register("alice").await;
}

#[tokio::test]
async fn a_device_keeps_its_id_across_the_sessions_of_a_user() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let from = async |email: &str, device: Value| {
        let login = json!({ "email": email, "password": PASSWORD, "deviceInfo": device });
        node.api.post("/auth/login", login).await.is_yes(200).text_of("session.deviceId")
    };
    let phone = json!({ "deviceFingerprint": "fp_1", "userAgent": "Phone/1" });
    let first = from(&alice.email, phone).await;
    let updated = json!({ "deviceFingerprint": "fp_1", "userAgent": "Phone/2" });
    assert_eq!(from(&alice.email, updated.clone()).await, first);
    assert_ne!(from(&bob.email, updated).await, first, "devices are told apart by user");
    let by_agent = from(&alice.email, json!({ "userAgent": "Browser/1" })).await;
    assert_ne!(by_agent, first);
    node.restart().await;
    assert_eq!(from(&alice.email, json!({ "userAgent": "Browser/1" })).await, by_agent);
    let user = get(&node, &format!("/users/{}", alice.id)).await;
    assert_eq!(user.data()["deviceCount"], 3, "registration was from another one");
    let session = Session::of(&node.api, alice.guesses(PASSWORD).await.data());
    let listed = session.list().await;
    assert!(listed.iter().filter(|session| session["deviceId"] == json!(first)).count() == 2);
}
