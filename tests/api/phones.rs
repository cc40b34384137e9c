//! Phone numbers, verified by codes that a tenant's webhook for text messages receives.

use janua_tests::node::answer;
use janua_tests::response::has_exactly;
use janua_tests::{Node, Sink, User, wait};
use reqwest::Method;
use serde_json::{Value, json};

const SECRET: &str = "whsec_of-the-text-messages";
const NUMBER: &str = "+9876543210";

async fn sends_to(sink: &Sink) -> Node {
    let node = Node::with("webhooks.allow_private_addresses", true).start().await;
    sms(&node, sink).await;
    node
}

async fn sms(node: &Node, sink: &Sink) {
    let settings = json!({ "sms": { "webhookUrl": sink.url(), "secret": SECRET } });
    node.configure(settings).await;
}

async fn with_number(node: &Node, name: &str, number: &str) -> User {
    let user = node.register(name).await;
    user.session.put("/users/me", json!({ "phoneNumber": number })).await.is_yes(200);
    user
}

async fn asks(user: &User) {
    let asked = user.session.post("/users/me/verify-phone/send", json!({})).await.is_yes(200);
    assert_eq!(asked.body, json!({ "success": true, "message": "Verification code sent" }));
}

async fn shows(user: &User, code: &Value) -> janua_tests::Response {
    user.session.post("/users/me/verify-phone/confirm", json!({ "code": code })).await
}

/// A code that is not this one.
fn other(code: &Value) -> Value {
    let digits: u32 = code.as_str().expect("a text").parse().expect("digits");
    json!(format!("{:06}", (digits + 1) % 1_000_000))
}

#[tokio::test]
async fn a_number_is_verified_by_the_code_that_was_sent_to_it() {
    let sink = Sink::start().await;
    let node = sends_to(&sink).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    asks(&alice).await;
    let call = sink.call(0).await;
    assert!(call.is_signed_with(SECRET), "{call:?}");
    has_exactly(&call.body, &["id", "type", "tenantId", "to", "code", "message", "expiresAt"]);
    assert_eq!(call.body["to"], NUMBER);
    assert_eq!(call.body["tenantId"], "default");
    assert!(call.body["message"].as_str().unwrap().contains(call.body["code"].as_str().unwrap()));
    let verified = shows(&alice, &call.body["code"]).await.is_yes(200);
    assert_eq!(verified.body["message"], "Phone number verified successfully");
    assert_eq!(alice.session.me().await.data()["phoneVerified"], true);
    shows(&alice, &call.body["code"]).await.is_no(401, "token_used");
    shows(&alice, &other(&call.body["code"])).await.is_no(401, "invalid_token");
    alice.session.put("/users/me", json!({ "phoneNumber": "+1234567890" })).await.is_yes(200);
    assert_eq!(alice.session.me().await.data()["phoneVerified"], false);
}

#[tokio::test]
async fn a_code_is_of_one_user_and_one_number() {
    let sink = Sink::start().await;
    let node = sends_to(&sink).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    let bob = with_number(&node, "bob", NUMBER).await;
    asks(&alice).await;
    let code = sink.call(0).await.body["code"].clone();
    shows(&bob, &code).await.is_no(401, "invalid_token");
    alice.session.put("/users/me", json!({ "phoneNumber": "+14155550123" })).await.is_yes(200);
    shows(&alice, &code).await.is_no(401, "invalid_token");
    assert_eq!(alice.session.me().await.data()["phoneVerified"], false);
}

#[tokio::test]
async fn five_wrong_codes_are_the_end_of_the_right_one() {
    let sink = Sink::start().await;
    let node = sends_to(&sink).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    asks(&alice).await;
    let code = sink.call(0).await.body["code"].clone();
    for _ in 0..5 {
        shows(&alice, &other(&code)).await.is_no(401, "invalid_token");
    }
    shows(&alice, &code).await.is_no(401, "invalid_token");
    asks(&alice).await;
    let fresh = sink.call(1).await.body["code"].clone();
    shows(&alice, &fresh).await.is_yes(200);
}

#[tokio::test]
async fn a_number_gets_five_codes_an_hour_whoever_asks() {
    let sink = Sink::start().await;
    let node = sends_to(&sink).await;
    let (alice, bob) =
        (with_number(&node, "alice", NUMBER).await, with_number(&node, "bob", NUMBER).await);
    for user in [&alice, &bob, &alice, &bob, &alice] {
        asks(user).await;
    }
    let refused = bob.session.post("/users/me/verify-phone/send", json!({})).await;
    let refused = refused.is_no(429, "rate_limit_exceeded");
    assert!(!refused.header("retry-after").is_empty());
    node.restart().await;
    let still = bob.session.post("/users/me/verify-phone/send", json!({})).await;
    still.is_no(429, "rate_limit_exceeded");
    let carol = with_number(&node, "carol", "+14155550123").await;
    asks(&carol).await;
    // An account that goes takes nothing of the count with it.
    let body = json!({ "password": bob.password, "confirmation": "DELETE" });
    bob.session.delete_with("/users/me", body).await.is_yes(200);
    let dave = with_number(&node, "dave", NUMBER).await;
    let still = dave.session.post("/users/me/verify-phone/send", json!({})).await;
    still.is_no(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn a_user_gets_ten_codes_an_hour_to_whichever_numbers() {
    let sink = Sink::start().await;
    let node = sends_to(&sink).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    for number in 0..10 {
        let number = json!({ "phoneNumber": format!("+1415555012{number}") });
        alice.session.put("/users/me", number).await.is_yes(200);
        asks(&alice).await;
    }
    alice.session.put("/users/me", json!({ "phoneNumber": NUMBER })).await.is_yes(200);
    let refused = alice.session.post("/users/me/verify-phone/send", json!({})).await;
    refused.is_no(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn what_the_receiver_does_not_take_is_sent_again() {
    let sink = Sink::start().await;
    // A redirect is not followed, and counts as not taken.
    sink.will_answer(&[500, 302, 200]);
    let node = sends_to(&sink).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    asks(&alice).await;
    let (first, last) = (sink.call(0).await, sink.call(2).await);
    assert_eq!((&first.body["id"], &first.body["code"]), (&last.body["id"], &last.body["code"]));
    shows(&alice, &last.body["code"]).await.is_yes(200);
}

#[tokio::test]
async fn a_message_outlives_the_node_that_was_to_send_it() {
    let sink = Sink::start().await;
    sink.will_answer(&[503, 503]);
    let node = sends_to(&sink).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    asks(&alice).await;
    let first = sink.call(0).await;
    node.restart().await;
    let call = sink.call(2).await;
    assert_eq!(call.body["id"], first.body["id"]);
    shows(&alice, &call.body["code"]).await.is_yes(200);
}

#[tokio::test]
async fn a_repeated_request_sends_one_message() {
    let sink = Sink::start().await;
    let node = sends_to(&sink).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    for _ in 0..3 {
        let request = alice.session.request(Method::POST, "/users/me/verify-phone/send");
        answer(request.header("Idempotency-Key", "once").json(&json!({}))).await.is_yes(200);
    }
    asks(&alice).await;
    wait::until("two messages have come", async || (sink.received().len() == 2).then_some(()))
        .await;
    assert_ne!(sink.received()[0].body["id"], sink.received()[1].body["id"]);
}

#[tokio::test]
async fn codes_need_a_number_and_a_webhook() {
    let sink = Sink::start().await;
    let node = Node::with("webhooks.allow_private_addresses", true).start().await;
    let alice = node.register("alice").await;
    let send = async || alice.session.post("/users/me/verify-phone/send", json!({})).await;
    send().await.is_no(403, "insufficient_permissions");
    sms(&node, &sink).await;
    let none = send().await.is_no(400, "validation_error");
    assert_eq!(none.fields_at_fault(), ["phoneNumber"].into());
    shows(&alice, &json!("12345")).await.is_no(400, "validation_error");
    shows(&alice, &json!("123456")).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn a_webhook_must_not_lead_into_the_house() {
    let node = Node::start().await;
    for url in [
        "http://sms.example.com/",
        "https://127.0.0.1/sms",
        "https://[::1]/sms",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.7/sms",
        "https://0x7f.1/sms",
        "https://user:pass@sms.example.com/",
        "nonsense",
    ] {
        let refused = node.configuration(json!({ "sms": { "webhookUrl": url } })).await;
        let refused = refused.is_no(400, "validation_error");
        assert_eq!(refused.fields_at_fault(), ["settings.sms.webhookUrl"].into(), "{url}");
    }
    // A name that leads there is found out when it is resolved to be called.
    let name = json!({ "sms": { "webhookUrl": "https://localhost/sms" } });
    node.configure(name).await;
    let alice = with_number(&node, "alice", NUMBER).await;
    asks(&alice).await;
    wait::until("the call is refused", async || {
        node.log.text().contains("the name has no public address").then_some(())
    })
    .await;
}
