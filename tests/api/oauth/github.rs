//! GitHub, and what is like it.

use janua_tests::browser::parameter;
use janua_tests::issuer::GitHub;
use janua_tests::{Browser, Node, Response};
use serde_json::{Value, json};

use super::{PAGE, body, configures, departs_to};

async fn scene() -> (Node, GitHub) {
    let github = GitHub::start().await;
    let node = github.known(Node::prepare()).start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    (node, github)
}

fn octocat(emails: Value) -> Value {
    let user = json!({
        "id": 583_231, "login": "octocat", "name": "Mona Lisa Octocat", "email": "public@example.com",
        "avatar_url": "https://avatars.example.com/u/583231",
    });
    json!({ "user": user, "emails": emails })
}

fn email(address: &str, primary: bool, verified: bool) -> Value {
    json!({ "email": address, "primary": primary, "verified": verified })
}

async fn signs_in(node: &Node, github: &GitHub, person: &Value) -> Response {
    let mut browser = Browser::new(&node.api);
    let departure = departs_to(&mut browser, "github").await;
    assert_eq!(parameter(&departure, "scope"), "read:user user:email");
    let back = github.agrees(&departure, person);
    node.api.post("/auth/oauth/github/callback", body(&back)).await
}

#[tokio::test]
async fn the_primary_address_is_the_account_s() {
    let (node, github) = scene().await;
    let emails =
        json!([email("other@example.com", false, true), email("mona@example.com", true, true)]);
    let answer = signs_in(&node, &github, &octocat(emails)).await.is_yes(200);
    assert_eq!(answer.data()["isNewUser"], true);
    let session = janua_tests::Session::of(&node.api, answer.data());
    let me = session.me().await;
    for (name, value) in [
        ("email", json!("mona@example.com")),
        ("emailVerified", json!(true)),
        ("firstName", json!("Mona")),
        ("lastName", json!("Lisa Octocat")),
        ("avatar", json!("https://avatars.example.com/u/583231")),
    ] {
        assert_eq!(me.data()[name], value, "{name}");
    }
    let renamed = json!([email("new@example.com", true, true)]);
    let again = signs_in(&node, &github, &octocat(renamed)).await.is_yes(200);
    assert_eq!(again.data()["isNewUser"], false);
    assert_eq!(again.data()["user"]["id"], answer.data()["user"]["id"]);
}

#[tokio::test]
async fn an_address_that_github_has_not_verified_or_does_not_show_counts_for_nothing() {
    let (node, github) = scene().await;
    node.register("mona").await;
    let unverified = json!([email("mona@example.com", true, false)]);
    let answer = signs_in(&node, &github, &octocat(unverified)).await;
    answer.is_no(409, "account_link_required");
    let hidden = signs_in(&node, &github, &octocat(Value::Null)).await.is_yes(200);
    assert_eq!(hidden.data()["user"]["email"], "public@example.com");
    let session = janua_tests::Session::of(&node.api, hidden.data());
    assert_eq!(session.me().await.data()["emailVerified"], false);
}

#[tokio::test]
async fn without_any_address_there_is_no_account() {
    let (node, github) = scene().await;
    let nobody = json!({ "user": { "id": 1, "name": null }, "emails": [] });
    signs_in(&node, &github, &nobody).await.is_no(422, "email_required");
}

#[tokio::test]
async fn a_code_that_github_refuses_is_refused() {
    let (node, github) = scene().await;
    let mut browser = Browser::new(&node.api);
    let departure = departs_to(&mut browser, "github").await;
    let emails = json!([email("mona@example.com", true, true)]);
    let mut body = body(&github.agrees(&departure, &octocat(emails)));
    body["code"] = "guessed".into();
    let answer = node.api.post("/auth/oauth/github/callback", body).await;
    answer.is_no(401, "invalid_credentials");
}
