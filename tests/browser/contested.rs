//! The pages by which an owner and a stranger are told apart.

use janua_tests::Node;
use janua_tests::people::PASSWORD;
use janua_tests::visitor::Visitor;
use serde_json::json;

use crate::mail::link_to;

/// How many mails an address gets when somebody asks for one, who is not signed in.
async fn asks(node: &Node, email: &str) -> usize {
    let before = node.mails_to(email).await.len();
    node.api.post("/auth/verify-email/send", json!({ "email": email })).await.is_yes(200);
    node.mails_to(email).await.len() - before
}

#[tokio::test]
async fn a_browser_that_is_signed_in_confirms_as_the_owner() {
    let node = Node::start().await;
    let email = node.register("alice").await.email;
    let mut alice = Visitor::opens(&node, "/ui/sign-in").await;
    alice.submits("/ui/sign-in", &[("email", &email), ("password", PASSWORD)]).await;
    alice.reads_heading("Your account");
    alice.goes_to(&link_to(&node, "/ui/verify", &email).await).await;
    alice.submits("/ui/verify", &[]).await;
    alice.reads_heading("Your address is confirmed");
    assert_eq!(asks(&node, &email).await, 0, "there is nothing open");
}

#[tokio::test]
async fn the_browser_in_which_the_account_was_registered_confirms_as_the_owner() {
    let node = Node::start().await;
    let back = "https://app.example.com/auth/callback";
    node.configure(json!({ "redirectUrls": [back] })).await;
    let email = "alice@example.com";
    // The session is the application's, so that the browser shows none.
    let mut alice = Visitor::opens(&node, &format!("/ui/sign-up?redirect_uri={back}")).await;
    alice.posts("/ui/sign-up", &[("email", email), ("password", PASSWORD)]).await;
    assert!(alice.leaves_for().starts_with(back));
    let link = link_to(&node, "/ui/verify", email).await;
    alice.goes_to(&link).await;
    alice.submits("/ui/verify", &[]).await;
    alice.reads_heading("Your address is confirmed");
    assert_eq!(asks(&node, email).await, 0, "there is nothing open");
}

#[tokio::test]
async fn having_asked_for_a_mail_in_a_browser_makes_nobody_the_owner() {
    let node = Node::start().await;
    let mallory = node.register("alice").await;
    let mut owner = Visitor::opens(&node, "/ui/verify/send").await;
    owner.submits("/ui/verify/send", &[("email", &mallory.email)]).await;
    owner.goes_to(&link_to(&node, "/ui/verify", &mallory.email).await).await;
    owner.submits("/ui/verify", &[]).await;
    owner.reads_heading("Your address is confirmed");
    assert_eq!(asks(&node, &mallory.email).await, 1, "it may still be somebody else's");
}

#[tokio::test]
async fn of_a_contested_account_it_is_first_asked_whose_it_is() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let link = link_to(&node, "/ui/verify", &alice.email).await;
    let mut phone = Visitor::opens(&node, &link).await;
    phone.submits("/ui/verify", &[]).await;
    phone.reads_heading("Your address is confirmed");
    assert_eq!(asks(&node, &alice.email).await, 1);
    let link = link_to(&node, "/ui/verify", &alice.email).await;
    phone.goes_to(&link).await;
    phone.reads_heading("Is this your account?");
    phone.reads("<button autofocus name=\"disown\" value=\"1\">It was not me</button>");
    assert!(!phone.page.text.contains("It is all mine"), "{}", phone.page.text);
    // Who is signed in to it says that it is theirs, and is believed.
    let mut own = Visitor::opens(&node, "/ui/sign-in").await;
    own.submits("/ui/sign-in", &[("email", &alice.email), ("password", PASSWORD)]).await;
    own.goes_to(&link).await;
    own.reads("It is all mine");
    own.submits("/ui/verify", &[]).await;
    own.reads_heading("Your address is confirmed");
    assert_eq!(asks(&node, &alice.email).await, 0, "there is nothing open");
    alice.session.is_alive().await;
}
