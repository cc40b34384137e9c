//! Microsoft: one provider, many issuers, and addresses that anybody may write into their account.

use janua_tests::issuer::{CLIENT, Issuer, SECRET, Signature};
use janua_tests::{Browser, Node, Response};
use serde_json::{Value, json};

use super::{PAGE, alice, body, changed, configures, departs_to};

const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

async fn scene() -> (Node, Issuer) {
    let issuer = Issuer::start().await;
    let setup = Node::with("oauth.microsoft.base_url", issuer.base());
    let setup = setup.with("oauth.microsoft.client_id", CLIENT);
    let node = setup.with("oauth.microsoft.client_secret", SECRET).start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    (node, issuer)
}

/// Somebody signs in whose token is from the tenant `issuer_of`, and says that it is of `tid`.
async fn signs_in(
    node: &Node,
    issuer: &Issuer,
    (issuer_of, tid): (&'static str, &'static str),
    claims: &Value,
) -> Response {
    let base = issuer.base().to_owned();
    issuer.signs(Signature::Own, move |claims| {
        claims["iss"] = format!("{base}/{issuer_of}/v2.0").into();
        claims["tid"] = tid.into();
    });
    let departure = departs_to(&mut Browser::new(&node.api), "microsoft").await;
    let back = issuer.agrees(&departure, claims);
    node.api.post("/auth/oauth/microsoft/callback", body(&back)).await
}

#[tokio::test]
async fn every_tenant_is_an_issuer_of_its_own() {
    let (node, issuer) = scene().await;
    let mine = signs_in(&node, &issuer, (TENANT, TENANT), &alice()).await.is_yes(200);
    let other = "11111111-2222-3333-4444-555555555555";
    for (iss, tid) in [(other, TENANT), (TENANT, other), ("common", "common"), (TENANT, "../x")] {
        let answer = signs_in(&node, &issuer, (iss, tid), &alice()).await;
        answer.is_no(401, "invalid_credentials");
    }
    // The same subject elsewhere is somebody else.
    let stranger = changed(&alice(), json!({ "email": "eve@example.com" }));
    let theirs = signs_in(&node, &issuer, (other, other), &stranger).await.is_yes(200);
    assert_ne!(mine.text_of("user.id"), theirs.text_of("user.id"));
}

#[tokio::test]
async fn an_address_is_verified_only_where_the_owner_of_its_domain_was_seen() {
    let (node, issuer) = scene().await;
    let victim = node.register("alice").await;
    // Whoever owns a tenant there writes what they like into `email`.
    let answer = signs_in(&node, &issuer, (TENANT, TENANT), &alice()).await;
    answer.is_no(409, "account_link_required");
    victim.session.is_alive().await;
    let seen = changed(&alice(), json!({ "xms_edov": true, "sub": "x", "email": "x@example.com" }));
    let answer = signs_in(&node, &issuer, (TENANT, TENANT), &seen).await.is_yes(200);
    let session = janua_tests::Session::of(&node.api, answer.data());
    assert_eq!(session.me().await.data()["emailVerified"], true);
}
