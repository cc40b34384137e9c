//! What is begun within a session, on a hosted page or by a server, and goes on at another node after
//! the owner was killed. One cluster sees all of it.

use janua_tests::browser::parameter;
use janua_tests::cluster::Cluster;
use janua_tests::issuer::Issuer;
use janua_tests::node::{Api, Node, answer};
use janua_tests::people::PASSWORD;
use janua_tests::visitor::Visitor;
use janua_tests::{App, Session, User};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{PAGE, Scene};

/// bcrypt of `PASSWORD`, by libc's crypt.
const IMPORTED: &str = "$2y$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC";

/// Of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A link to a provider that has been begun: what its page posts at the end.
async fn begins_to_link(user: &User, issuer: &Issuer, claims: &Value) -> Value {
    let body = json!({ "redirectUri": PAGE, "state": "page-state" });
    let begun = user.session.post("/auth/oauth/acme/link", body).await.is_yes(200);
    let departure: Url = begun.text_of("authorizationUrl").parse().expect("a URL");
    let back = issuer.agrees(&departure, claims);
    json!({ "code": parameter(&back, "code"), "state": parameter(&back, "state") })
}

/// A server of the tenant's brings somebody along, with a hash that another program has made.
async fn imports(cluster: &Cluster, owner: &Node, email: &str) {
    let line = json!({ "email": email, "passwordHash": IMPORTED }).to_string();
    let request = owner.api.request(Method::POST, "/users/import");
    let request = request.header("X-API-Key", cluster.node(1).keys().secret);
    let request = request.header("Content-Type", "application/x-ndjson").body(line);
    assert_eq!(answer(request).await.is_yes(200).data()["imported"], 1);
}

/// Somebody on the hosted page for the application's login.
async fn at_the_page(node: &Node) -> Visitor {
    let query = format!("redirect_uri={PAGE}&state=page-state&code_challenge={CHALLENGE}");
    Visitor::opens(node, &format!("/ui/sign-in?{query}&code_challenge_method=S256")).await
}

/// The body that shows the code with which a page has left for the application.
#[track_caller]
fn code_of(visitor: &Visitor) -> Value {
    let landed: Url = visitor.leaves_for().parse().expect("a URL");
    assert_eq!(parameter(&landed, "state"), "page-state", "{landed}");
    json!({ "code": parameter(&landed, "code"), "codeVerifier": VERIFIER })
}

/// The application takes the login over by its code, once.
async fn exchanges(api: &Api, code: Value) {
    let entered = api.post("/auth/oauth/exchange", code.clone()).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
    api.post("/auth/oauth/exchange", code).await.is_no(401, "token_used");
}

#[tokio::test]
async fn what_a_session_or_a_page_has_begun_goes_on_at_another_node() {
    let issuer = Issuer::start().await;
    let base = issuer.base().to_owned();
    let scene = Scene::with(move || Issuer::known_at(&base, "acme", Node::prepare())).await;
    scene.settles(json!({ "redirectUrls": [PAGE] })).await;
    let owner = scene.owner();
    let (alice, bob, carol, dave) = (
        owner.register("alice").await,
        owner.register("bob").await,
        owner.register("carol").await,
        owner.register("dave").await,
    );
    // Begun before there was a second factor, so that it has shown none.
    let stale = alice.logs_in().await;
    let mut app = alice.enrols_an_app().await;
    let codes = ("/users/me/mfa/backup-codes", json!({ "password": PASSWORD }));
    stale.post(codes.0, codes.1.clone()).await.is_no(403, "mfa_required");
    let step_up = json!({ "code": app.code().await });
    stale.post("/users/me/mfa/step-up", step_up.clone()).await.is_yes(200);

    let mut enrolling = App::with_secret(&bob.asks_for_a_seed().await.text_of("secret"));
    let claims = json!({ "sub": "carol-1", "email": "carol@elsewhere.example" });
    let linking = begins_to_link(&carol, &issuer, &claims).await;
    imports(&scene.cluster, owner, "imported@example.com").await;

    let mut signed_in = at_the_page(owner).await;
    let credentials = [("email", dave.email.as_str()), ("password", PASSWORD)];
    signed_in.posts("/ui/sign-in", &credentials).await;
    let code = code_of(&signed_in);
    let mut asked = at_the_page(owner).await;
    let credentials = [("email", alice.email.as_str()), ("password", PASSWORD)];
    asked.submits("/ui/sign-in", &credentials).await;
    scene.owner_dies(&bob).await;

    let (other, api) = (scene.other(), &scene.other().api);
    // The step-up counts, and its code has been used.
    let stale = stale.at(other);
    stale.post(codes.0, codes.1).await.is_yes(200);
    stale.post("/users/me/mfa/step-up", step_up).await.is_no(401, "invalid_mfa_code");

    let here = bob.session.at(other);
    let first = json!({ "code": enrolling.code().await });
    let enabled = here.post("/users/me/mfa/totp/verify", first).await.is_yes(200);
    let backup = enabled.data()["backupCodes"][0].as_str().expect("a code").to_owned();
    let bob = User { api: api.clone(), ..bob };
    let token = bob.shows_a_password().await;
    let entered = api.shows_backup_code(&token, &backup).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
    let token = bob.shows_a_password().await;
    api.shows_backup_code(&token, &backup).await.is_no(401, "invalid_mfa_code");

    let here = carol.session.at(other);
    let linked = here.post("/auth/oauth/acme/callback", linking.clone()).await.is_yes(200);
    assert_eq!(linked.data()["identity"]["subject"], "carol-1");
    here.post("/auth/oauth/acme/callback", linking).await.is_no(401, "token_used");

    let wrong = "Not-the-password-7!";
    api.login("imported@example.com", wrong).await.is_no(401, "invalid_credentials");
    for _ in 0..2 {
        // The first login has brought the hash to the form of ours.
        let entered = api.login("imported@example.com", PASSWORD).await.is_yes(200);
        Session::of(api, entered.data()).is_alive().await;
    }

    exchanges(api, code).await;
    asked.is_led_to(other);
    asked.posts("/ui/mfa", &[("method", "totp"), ("code", &app.code().await)]).await;
    exchanges(api, code_of(&asked)).await;
}
