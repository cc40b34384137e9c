//! A first factor that was shown, and a code that waits for its page, hold only while nothing has
//! changed that they stood on.

use std::pin::Pin;

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::{App, Node, User};
use reqwest::Method;
use serde_json::{Value, json};

const PAGE: &str = "https://app.example.com/auth/callback";

/// What happens to a user between the one and the other.
type Change = for<'a> fn(&'a Node, &'a User) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A server of the tenant's does something to a user.
async fn manages(node: &Node, method: Method, user: &User, what: &str, body: Option<Value>) {
    let request = node.server(method, &format!("/users/{}{what}", user.id));
    answer(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
    .is_yes(200);
}

async fn sets_a_password(user: &User, log_out_others: bool) {
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "A-second-river-41!",
        "logoutOtherSessions": log_out_others });
    user.session.post("/users/me/change-password", body).await.is_yes(200);
}

const CHANGES: [(&str, Change); 8] = [
    ("a new password", |_, user| Box::pin(sets_a_password(user, true))),
    ("a new password beside other sessions", |_, user| Box::pin(sets_a_password(user, false))),
    ("a reset", |node, user| {
        Box::pin(async move {
            let forgotten = json!({ "email": user.email });
            node.api.post("/auth/password/forgot", forgotten).await.is_yes(200);
            let token = node.mail_to(&user.email).await.token();
            let body = json!({ "token": token, "newPassword": "A-second-river-41!" });
            node.api.post("/auth/password/reset", body).await.is_yes(200);
        })
    }),
    ("a suspension that was taken back", |node, user| {
        Box::pin(async move {
            manages(node, Method::POST, user, "/suspend", None).await;
            manages(node, Method::POST, user, "/reactivate", None).await;
        })
    }),
    ("logging out everywhere", |_, user| {
        Box::pin(async move { drop(user.session.delete("/sessions").await.is_yes(200)) })
    }),
    ("being logged out everywhere", |node, user| {
        Box::pin(manages(node, Method::DELETE, user, "/sessions", None))
    }),
    ("another address", |node, user| {
        let email = format!("moved-{}", user.email);
        Box::pin(manages(node, Method::PATCH, user, "", Some(json!({ "email": email }))))
    }),
    ("the end of the account", |node, user| {
        Box::pin(manages(node, Method::DELETE, user, "", None))
    }),
];

/// Somebody who has shown that the address is theirs, so that nothing happens for that reason.
async fn known(node: &Node, name: &str) -> User {
    let user = node.register(name).await;
    let token = node.mail_to(&user.email).await.token();
    user.session.post("/auth/verify-email", json!({ "token": token })).await.is_yes(200);
    user
}

/// A link that was mailed.
async fn link_to(node: &Node, user: &User) -> String {
    node.api.post("/auth/magic-link/send", json!({ "email": user.email })).await.is_yes(200);
    node.mail_to(&user.email).await.token()
}

/// A code for the page of an application, after a mailed link was followed.
async fn code_of(node: &Node, user: &User) -> String {
    let body = json!({ "token": link_to(node, user).await, "redirectUri": PAGE });
    let led = node.api.post("/auth/magic-link/verify", body).await.is_yes(200);
    let address = led.text_of("redirectTo");
    address.split_once("?code=").expect("a code").1.to_owned()
}

#[tokio::test]
async fn what_was_shown_is_worth_nothing_once_its_user_stands_otherwise() {
    let node = Node::start().await;
    node.settles(json!({ "redirectUrls": [PAGE] })).await;
    for (number, (name, change)) in CHANGES.into_iter().enumerate() {
        let alice = known(&node, &format!("alice-{number}")).await;
        let mut app: App = alice.enrols_an_app().await;
        let token = alice.shows_a_password().await;
        let (code, link) = (code_of(&node, &alice).await, link_to(&node, &alice).await);
        change(&node, &alice).await;
        let shown = node.api.shows_code(&token, &app.code().await).await;
        assert_eq!((shown.status, shown.code()), (401, "invalid_token"), "a factor after {name}");
        let shown = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
        assert_eq!((shown.status, shown.code()), (401, "invalid_token"), "a code after {name}");
        let shown = node.api.get(&format!("/auth/magic-link/verify?token={link}")).await;
        assert_eq!((shown.status, shown.code()), (401, "invalid_token"), "a link after {name}");
    }
    // Where nothing changes, all of them are good.
    let bob = known(&node, "bob").await;
    let (code, link) = (code_of(&node, &bob).await, link_to(&node, &bob).await);
    bob.session.put("/users/me", json!({ "firstName": "Bob" })).await.is_yes(200);
    node.api.post("/auth/oauth/exchange", json!({ "code": code })).await.is_yes(200);
    node.api.get(&format!("/auth/magic-link/verify?token={link}")).await.is_yes(200);
    let mut app = bob.enrols_an_app().await;
    bob.logs_in_with(&mut app).await.is_alive().await;
}
