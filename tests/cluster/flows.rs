//! Ways in that are begun at one node and ended at another, after the one that owned them was killed.

mod within;

use futures::future::join_all;
use janua_tests::browser::{location, parameter};
use janua_tests::cluster::{Cluster, OPERATOR_TOKEN};
use janua_tests::issuer::Issuer;
use janua_tests::node::{Node, answer, send};
use janua_tests::people::PASSWORD;
use janua_tests::{Authenticator, Browser, Session, Setup, Sink, User};
use reqwest::Method;
use serde_json::{Value, json};

const PAGE: &str = "https://app.example.com/auth/callback";
const NUMBER: &str = "+9876543210";

/// A cluster whose owner of the default tenant is going to die.
struct Scene {
    cluster: Cluster,
    owner: usize,
}

impl Scene {
    async fn set() -> Self {
        Self::with(Node::prepare).await
    }

    async fn with(base: impl Fn() -> Setup + Send + Sync + 'static) -> Self {
        let cluster = Cluster::made_of(3, 4, Box::new(base)).await;
        let owner = cluster.leader_of_the_default_tenant().await;
        Self { cluster, owner }
    }

    /// Where what is begun lies.
    fn owner(&self) -> &Node {
        self.cluster.node(self.owner)
    }

    /// Where it is ended.
    fn other(&self) -> &Node {
        self.cluster.another_than(&[self.owner])
    }

    async fn settles(&self, settings: Value) {
        let asked = self.owner().api.request(Method::PATCH, "/admin/tenants/default");
        let settings = json!({ "settings": settings });
        answer(asked.bearer_auth(OPERATOR_TOKEN).json(&settings)).await.is_yes(200);
    }

    /// The token in the newest mail to an address.
    async fn token_for(&self, address: &str) -> String {
        let mails = self.owner().api.mails_shown_to(OPERATOR_TOKEN).await;
        let mail = mails.iter().find(|mail| mail.to == address);
        mail.unwrap_or_else(|| panic!("there is no mail to {address}")).token()
    }

    /// The owner dies, and another serves its sessions.
    async fn owner_dies(&self, user: &User) {
        self.owner().kill_9();
        user.session.at(self.other()).comes_back().await;
    }
}

#[tokio::test]
async fn mailed_links_outlive_the_node_that_sent_them() {
    let scene = Scene::set().await;
    let owner = scene.owner();
    let (alice, bob, carol) =
        (owner.register("alice").await, owner.register("bob").await, owner.register("carol").await);
    owner.api.post("/auth/magic-link/send", json!({ "email": alice.email })).await.is_yes(200);
    let link = scene.token_for(&alice.email).await;
    owner.api.post("/auth/password/forgot", json!({ "email": bob.email })).await.is_yes(200);
    let reset = scene.token_for(&bob.email).await;
    let verification = scene.token_for(&carol.email).await;
    scene.owner_dies(&carol).await;

    let api = &scene.other().api;
    let path = format!("/auth/magic-link/verify?token={link}");
    let entered = api.get(&path).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
    api.get(&path).await.is_no(401, "token_used");

    let new = "A-second-river-41!";
    let body = json!({ "token": reset, "newPassword": new });
    api.post("/auth/password/reset", body.clone()).await.is_yes(200);
    api.post("/auth/password/reset", body).await.is_no(401, "token_used");
    api.login(&bob.email, new).await.is_yes(200);
    api.login(&bob.email, PASSWORD).await.is_no(401, "invalid_credentials");
    bob.session.at(scene.other()).is_over().await;

    let body = json!({ "token": verification });
    api.post("/auth/verify-email", body.clone()).await.is_yes(200);
    api.post("/auth/verify-email", body).await.is_no(401, "token_used");
    let me = carol.session.at(scene.other()).me().await.is_yes(200);
    assert_eq!(me.data()["emailVerified"], true);
}

#[tokio::test]
async fn second_factors_are_shown_to_any_node_and_once() {
    let scene = Scene::set().await;
    let (alice, bob) = (scene.owner().register("alice").await, scene.owner().register("bob").await);
    let mut app = alice.enrols_an_app().await;
    let backup = bob.enrols_an_app().await.backup_codes;
    let used = alice.shows_a_password().await;
    scene.owner().api.shows_code(&used, &app.code().await).await.is_yes(200);
    let waiting = alice.shows_a_password().await;
    let (first, second) = (bob.shows_a_password().await, bob.shows_a_password().await);
    scene.owner().api.shows_backup_code(&first, &backup[0]).await.is_yes(200);
    scene.owner_dies(&alice).await;

    let api = &scene.other().api;
    api.shows_code(&used, &app.last_code()).await.is_no(401, "token_used");
    // A code that was shown to the node that is dead, to another one.
    api.shows_code(&waiting, &app.last_code()).await.is_no(401, "invalid_mfa_code");
    let entered = api.shows_code(&waiting, &app.code().await).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
    api.shows_backup_code(&second, &backup[0]).await.is_no(401, "invalid_mfa_code");
    let entered = api.shows_backup_code(&second, &backup[1]).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
}

#[tokio::test]
async fn a_passkey_answers_the_challenge_of_a_node_that_is_dead() {
    let scene = Scene::set().await;
    let (alice, bob) = (scene.owner().register("alice").await, scene.owner().register("bob").await);
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let login = scene.owner().api.begins_passkey_login(json!({ "email": alice.email })).await;
    let registration = bob.session.begins_a_passkey().await;
    scene.owner_dies(&alice).await;

    let api = &scene.other().api;
    let signed = key.signs(&login).await;
    let entered = api.completes_passkey_login(signed.clone()).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
    api.completes_passkey_login(signed).await.is_no(401, "token_used");

    let here = bob.session.at(scene.other());
    let made = Authenticator::new().makes(&registration).await;
    here.completes_a_passkey(made.clone()).await.is_yes(201);
    here.completes_a_passkey(made).await.is_no(401, "token_used");
    let listed = here.get("/passkeys").await.is_yes(200);
    assert_eq!(listed.data()["passkeys"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_browser_comes_back_from_a_provider_to_a_node_that_did_not_send_it() {
    let issuer = Issuer::start().await;
    let base = issuer.base().to_owned();
    let scene = Scene::with(move || Issuer::known_at(&base, "acme", Node::prepare())).await;
    scene.settles(json!({ "redirectUrls": [PAGE] })).await;
    let witness = scene.owner().register("witness").await;
    let path = format!("/auth/oauth/acme?redirect_uri={PAGE}&state=page-state");
    let (mut led, mut posting) =
        (Browser::new(&scene.owner().api), Browser::new(&scene.owner().api));
    let claims = |name: &str| json!({ "sub": name, "email": format!("{name}@example.com"), "email_verified": true });
    let back = issuer.agrees(&location(&led.visits(&path).await), &claims("alice"));
    let posted = issuer.agrees(&location(&posting.visits(&path).await), &claims("bob"));
    scene.owner_dies(&witness).await;

    let api = &scene.other().api;
    let landed = location(&led.at(api).asks(back.as_str()).await);
    assert_eq!(parameter(&landed, "state"), "page-state", "{landed}");
    let code = json!({ "code": parameter(&landed, "code") });
    let entered = api.post("/auth/oauth/exchange", code.clone()).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
    api.post("/auth/oauth/exchange", code).await.is_no(401, "token_used");

    let body = json!({ "code": parameter(&posted, "code"), "state": parameter(&posted, "state") });
    let entered = api.post("/auth/oauth/acme/callback", body.clone()).await.is_yes(200);
    Session::of(api, entered.data()).is_alive().await;
    api.post("/auth/oauth/acme/callback", body).await.is_no(401, "token_used");
}

#[tokio::test]
async fn a_code_that_was_sent_to_a_phone_is_known_to_every_node() {
    let sink = Sink::start().await;
    let scene = Scene::with(|| Node::with("webhooks.allow_private_addresses", true)).await;
    scene.settles(json!({ "sms": { "webhookUrl": sink.url(), "secret": "whsec_of-texts" } })).await;
    let alice = scene.owner().register("alice").await;
    alice.session.put("/users/me", json!({ "phoneNumber": NUMBER })).await.is_yes(200);
    alice.session.post("/users/me/verify-phone/send", json!({})).await.is_yes(200);
    let code = json!({ "code": sink.call(0).await.body["code"] });
    scene.owner_dies(&alice).await;

    let here = alice.session.at(scene.other());
    here.post("/users/me/verify-phone/confirm", code.clone()).await.is_yes(200);
    assert_eq!(here.me().await.data()["phoneVerified"], true);
    here.post("/users/me/verify-phone/confirm", code).await.is_no(401, "token_used");
}

/// The owner dies while links are being followed. Nobody hears that a link was used which they have
/// just used themselves, although the request was made twice between nodes.
#[tokio::test]
async fn a_link_that_was_being_followed_when_the_owner_died_is_spent_for_its_reader() {
    let scene = Scene::set().await;
    scene.settles(json!({ "magicLinkSignup": true })).await;
    let witness = scene.owner().register("witness").await;
    let mut links = Vec::new();
    for number in 0..40 {
        let email = format!("reader-{number}@example.com");
        scene
            .owner()
            .api
            .post("/auth/magic-link/send", json!({ "email": email }))
            .await
            .is_yes(200);
        links.push(scene.token_for(&email).await);
    }
    let api = &scene.other().api;
    let following = links.iter().enumerate().map(|(number, link)| {
        let scene = &scene;
        async move {
            if number == 10 {
                scene.owner().kill_9();
            }
            let path = format!("/auth/magic-link/verify?token={link}");
            send(api.request(Method::GET, &path)).await.expect("a node that lives answers")
        }
    });
    let answers = join_all(following).await;
    witness.session.at(scene.other()).comes_back().await;
    for answer in answers {
        assert!([200, 503].contains(&answer.status), "{}", answer.text);
        if answer.status == 200 {
            Session::of(api, answer.data()).is_alive().await;
        }
    }
}
