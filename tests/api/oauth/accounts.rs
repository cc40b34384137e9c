//! Whose account it is that somebody arrives at.

use janua_tests::issuer::Issuer;
use janua_tests::people::PASSWORD;
use janua_tests::{Authenticator, Browser, Node, Response, Session, User, at_once};
use serde_json::json;

use super::{
    alice, body, body as body_of, changed, configures, departs, departs_to, identities, scene,
    session_of, signs_in,
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
async fn an_issuer_may_say_by_a_text_whether_an_address_is_verified() {
    let (node, issuer) = scene().await;
    for (name, text, verified) in [("ann", "true", true), ("ben", "false", false)] {
        let email = format!("{name}@example.com");
        let claims = json!({ "sub": name, "email": email, "email_verified": text });
        let session = session_of(&node, &issuer, &claims).await;
        assert_eq!(session.me().await.data()["emailVerified"], verified, "{text}");
    }
    issuer.tells_only_who_asks(None);
    let claims = json!({ "sub": "eve", "email": "eve@example.com", "email_verified": "true" });
    let session = session_of(&node, &issuer, &claims).await;
    assert_eq!(session.me().await.data()["emailVerified"], true);
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

/// Everything that somebody can leave in an account of another's address.
async fn leaves_everything(node: &Node, issuer: &Issuer, mallory: &User) -> Authenticator {
    let body = json!({ "redirectUri": super::PAGE });
    let begun = mallory.session.post("/auth/oauth/acme/link", body).await.is_yes(200);
    let departure = begun.text_of("authorizationUrl").parse().expect("a URL");
    let back = issuer.agrees(&departure, &mallorys());
    mallory.session.post("/auth/oauth/acme/callback", body_of(&back)).await.is_yes(200);
    let profile = json!({ "firstName": "Mallory", "phoneNumber": "+14155550123" });
    mallory.session.put("/users/me", profile).await.is_yes(200);
    let (passkey, _) = mallory.session.registers_a_passkey().await;
    assert_eq!(node.mails_to(&mallory.email).await.len(), 1);
    passkey
}

fn mallorys() -> serde_json::Value {
    json!({ "sub": "mallory-1", "email": "mallory@elsewhere.example", "email_verified": true })
}

/// How the owner of an address comes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Provider,
    Link,
    Reset,
}

/// The owner comes; what they are answered in the end.
async fn comes(node: &Node, issuer: &Issuer, way: Way) -> Response {
    let email = json!({ "email": "alice@example.com" });
    match way {
        Way::Provider => {
            let first = signs_in(node, issuer, &alice()).await;
            if first.status == 409 { signs_in(node, issuer, &alice()).await } else { first }
        }
        Way::Link => {
            node.api.post("/auth/magic-link/send", email).await.is_yes(200);
            let token = node.mail_to("alice@example.com").await.token();
            node.api.get(&format!("/auth/magic-link/verify?token={token}")).await
        }
        Way::Reset => {
            node.api.post("/auth/password/forgot", email).await.is_yes(200);
            let token = node.mail_to("alice@example.com").await.token();
            let new = "A-second-river-41!";
            let reset = json!({ "token": token, "newPassword": new });
            node.api.post("/auth/password/reset", reset).await.is_yes(200);
            node.api.login("alice@example.com", new).await
        }
    }
}

#[tokio::test]
async fn nothing_that_a_stranger_has_left_is_a_way_in_or_in_the_way() {
    for way in [Way::Provider, Way::Link, Way::Reset] {
        let (node, issuer) = scene().await;
        let mallory = node.register("alice").await;
        let mut passkey = leaves_everything(&node, &issuer, &mallory).await;
        let asked = node.api.begins_passkey_login(json!({ "email": mallory.email })).await;
        let waiting = mallory.session.begins_a_passkey().await;
        let other = mallory.logs_in().await;
        // Mallory cannot follow it: the mail goes to whose address it is.
        node.api.post("/auth/magic-link/send", json!({ "email": mallory.email })).await.is_yes(200);
        let old_link = node.mail_to(&mallory.email).await.token();

        let entered = comes(&node, &issuer, way).await.is_yes(200);
        let owner = Session::of(&node.api, entered.data());
        let me = owner.me().await.is_yes(200);
        assert_eq!(
            (&me.data()["id"], &me.data()["emailVerified"]),
            (&json!(mallory.id), &json!(true))
        );
        assert_eq!(me.data()["phoneNumber"], serde_json::Value::Null, "{way:?}");
        assert_eq!(me.data()["firstName"], "Mallory", "what is shown is the owner's to change");
        let passkeys = owner.get("/passkeys").await.is_yes(200);
        assert_eq!(passkeys.data()["passkeys"], json!([]), "{way:?}");
        let linked = identities(&owner).await;
        let subjects: Vec<_> = linked.iter().map(|identity| &identity["subject"]).collect();
        let own = json!("alice-1");
        assert_eq!(subjects, if way == Way::Provider { vec![&own] } else { vec![] });

        mallory.session.is_over().await;
        other.is_over().await;
        mallory.guesses(PASSWORD).await.is_no(401, "invalid_credentials");
        let signed = passkey.signs(&asked).await;
        assert_eq!(node.api.completes_passkey_login(signed).await.status, 401, "{way:?}");
        let made = Authenticator::new().makes(&waiting).await;
        mallory.session.completes_a_passkey(made).await.is_no(401, "session_revoked");
        let path = format!("/auth/magic-link/verify?token={old_link}");
        node.api.get(&path).await.is_no(401, "invalid_token");
        let theirs = signs_in(&node, &issuer, &mallorys()).await.is_yes(200);
        assert_ne!(theirs.text_of("user.id"), mallory.id, "{way:?}");
        owner.is_alive().await;
    }
}

#[tokio::test]
async fn an_owner_whom_a_stranger_s_app_keeps_out_gets_in_without_being_signed_in() {
    for way in [Way::Provider, Way::Link, Way::Reset] {
        let (node, issuer) = scene().await;
        let mallory = node.register("alice").await;
        mallory.enrols_an_app().await;
        let asked = comes(&node, &issuer, way).await.is_yes(200);
        assert_eq!(asked.data()["requiresMfa"], true, "{}", asked.text);
        let ask = json!({ "email": mallory.email });
        node.api.post("/auth/verify-email/send", ask).await.is_yes(200);
        let body = json!({ "token": node.mail_to(&mallory.email).await.token() });
        let disown = "/auth/verify-email/disown";
        node.api.post(disown, body.clone()).await.is_yes(200);
        node.api.post(disown, body).await.is_no(401, "token_used");
        // What was shown before is worth nothing; what is shown now needs no code.
        let token = asked.text_of("tempToken");
        node.api.shows_code(&token, "123456").await.is_no(401, "invalid_token");
        let entered = match way {
            Way::Reset => node.api.login(&mallory.email, "A-second-river-41!").await,
            way => comes(&node, &issuer, way).await,
        };
        let owner = Session::of(&node.api, entered.is_yes(200).data());
        assert_eq!(owner.me().await.data()["mfaEnabled"], false, "{way:?}");
    }
}

#[tokio::test]
async fn nobody_takes_away_an_app_that_its_owner_has_shown() {
    let (node, issuer) = scene().await;
    let user = node.register("alice").await;
    let mail = node.mail_to(&user.email).await.token();
    let mut app = user.enrols_an_app().await;
    let asked = comes(&node, &issuer, Way::Link).await.is_yes(200);
    let shown = node.api.shows_code(&asked.text_of("tempToken"), &app.code().await).await;
    let session = Session::of(&node.api, shown.is_yes(200).data());
    let body = json!({ "token": mail });
    node.api.post("/auth/verify-email/disown", body).await.is_no(401, "invalid_token");
    let mails = node.mails_to(&user.email).await.len();
    let ask = json!({ "email": user.email });
    node.api.post("/auth/verify-email/send", ask).await.is_yes(200);
    assert_eq!(node.mails_to(&user.email).await.len(), mails, "there is nothing to say");
    assert_eq!(session.me().await.data()["mfaEnabled"], true);
}
