//! Whose account it is that somebody arrives at.

use janua_tests::people::PASSWORD;
use janua_tests::{Browser, Session, at_once};
use serde_json::json;

use super::{
    alice, body, changed, configures, departs, departs_to, identities, scene, session_of, signs_in,
};

#[tokio::test]
async fn the_subject_is_the_key_and_the_address_is_not() {
    let (node, issuer) = scene().await;
    let first = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    let moved = changed(&alice(), json!({ "email": "alice@elsewhere.example" }));
    let again = signs_in(&node, &issuer, &moved).await.is_yes(200);
    assert_eq!(again.data()["user"]["id"], first.data()["user"]["id"]);
    assert_eq!(again.data()["user"]["email"], "alice@example.com");
    // Somebody else who has her old address there.
    let other = changed(&alice(), json!({ "sub": "alice-2" }));
    let answer = signs_in(&node, &issuer, &other).await;
    answer.is_no(409, "identity_already_linked");
}

#[tokio::test]
async fn a_verified_address_on_both_sides_links_by_itself() {
    let (node, issuer) = scene().await;
    // The address is verified here by another provider.
    configures(
        &node,
        json!({ "oauth": { "other": {
        "clientId": "janua", "clientSecret": janua_tests::issuer::SECRET,
        "issuer": issuer.base(), "enabled": true,
    } } }),
    )
    .await;
    let first = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    let mut browser = Browser::new(&node.api);
    let departure = departs_to(&mut browser, "other").await;
    let back = issuer.agrees(&departure, &alice());
    let answer = node.api.post("/auth/oauth/other/callback", body(&back)).await.is_yes(200);
    assert_eq!(answer.data()["user"]["id"], first.data()["user"]["id"]);
    assert_eq!(answer.data()["isNewUser"], false);
    let session = Session::of(&node.api, answer.data());
    let linked = identities(&session).await;
    let names: Vec<_> = linked.iter().map(|identity| identity["provider"].clone()).collect();
    assert_eq!(names, ["acme", "other"]);
}

#[tokio::test]
async fn an_unverified_provider_address_links_nothing_and_verifies_nothing() {
    let (node, issuer) = scene().await;
    let victim = node.register("alice").await;
    let unverified = changed(&alice(), json!({ "email_verified": false }));
    for claims in [&unverified, &changed(&alice(), json!({ "email_verified": null }))] {
        let answer = signs_in(&node, &issuer, claims).await;
        answer.is_no(409, "account_link_required");
    }
    victim.session.is_alive().await;
    assert_eq!(victim.session.me().await.data()["emailVerified"], false);
    let other = changed(&unverified, json!({ "email": "bob@example.com", "sub": "bob" }));
    let session = session_of(&node, &issuer, &other).await;
    assert_eq!(session.me().await.data()["emailVerified"], false);
}

#[tokio::test]
async fn registering_a_stranger_s_address_gains_nothing() {
    let (node, issuer) = scene().await;
    let mallory = node.register("alice").await;
    let phone = mallory.logs_in().await;
    // Alice, whose address it is, arrives.
    let answer = signs_in(&node, &issuer, &alice()).await;
    answer.is_no(409, "account_link_required");
    mallory.session.is_over().await;
    phone.is_over().await;
    mallory.guesses(PASSWORD).await.is_no(401, "invalid_credentials");
    // She has claimed it: from now on it is hers.
    let session = session_of(&node, &issuer, &alice()).await;
    assert_eq!(session.me().await.data()["id"], mallory.id.as_str());
    assert_eq!(session.me().await.data()["emailVerified"], true);
    mallory.guesses(PASSWORD).await.is_no(401, "invalid_credentials");
}

#[tokio::test]
async fn an_identity_that_a_stranger_has_put_in_the_way_ends_with_the_password() {
    let (node, issuer) = scene().await;
    let trap = changed(
        &alice(),
        json!({ "sub": "mallory", "email_verified": false, "email": "alice@example.com" }),
    );
    let mallory = session_of(&node, &issuer, &trap).await;
    let own = json!({
        "clientId": "janua", "clientSecret": janua_tests::issuer::SECRET,
        "issuer": issuer.base(), "enabled": true,
    });
    configures(&node, json!({ "oauth": { "other": own } })).await;
    let mut browser = Browser::new(&node.api);
    let departure = departs_to(&mut browser, "other").await;
    let back = issuer.agrees(&departure, &alice());
    let answer = node.api.post("/auth/oauth/other/callback", body(&back)).await;
    answer.is_no(409, "account_link_required");
    mallory.is_over().await;
    let answer = signs_in(&node, &issuer, &trap).await;
    answer.is_no(409, "account_link_required");
}

#[tokio::test]
async fn two_callbacks_of_one_newcomer_make_one_account() {
    let (node, issuer) = scene().await;
    let mut bodies = Vec::new();
    for _ in 0..8 {
        let mut browser = Browser::new(&node.api);
        bodies.push(body(&issuer.agrees(&departs(&mut browser).await, &alice())));
    }
    let api = node.api.clone();
    let answers = at_once(bodies.len(), |number| {
        let (api, body) = (api.clone(), bodies[number].clone());
        async move { api.post("/auth/oauth/acme/callback", body).await.is_yes(200) }
    });
    let answers = answers.await;
    let new = answers.iter().filter(|answer| answer.data()["isNewUser"] == true).count();
    assert_eq!(new, 1);
    let id = answers[0].text_of("user.id");
    assert!(answers.iter().all(|answer| answer.text_of("user.id") == id));
}

#[tokio::test]
async fn a_tenant_that_takes_no_newcomers_takes_none_from_a_provider() {
    let (node, issuer) = scene().await;
    configures(&node, json!({ "registration": "closed" })).await;
    let answer = signs_in(&node, &issuer, &alice()).await;
    answer.is_no(403, "insufficient_permissions");
    configures(&node, json!({ "registration": "open" })).await;
    signs_in(&node, &issuer, &alice()).await.is_yes(200);
    configures(&node, json!({ "registration": "invite" })).await;
    signs_in(&node, &issuer, &alice()).await.is_yes(200);
}

#[tokio::test]
async fn a_second_factor_follows_a_provider_even_where_the_address_was_never_verified() {
    let (node, issuer) = scene().await;
    let mut app = node.register("alice").await.enrols_an_app().await;
    signs_in(&node, &issuer, &alice()).await.is_no(409, "account_link_required");
    let asked = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    assert_eq!(asked.data()["requiresMfa"], true, "{}", asked.text);
    assert!(asked.data().get("session").is_none(), "{}", asked.text);
    let token = asked.text_of("tempToken");
    node.api.shows_code(&token, &app.code().await).await.is_yes(200);
}
