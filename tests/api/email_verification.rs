//! Showing that one reads mail at one's address.

use janua_tests::response::has_exactly;
use janua_tests::{Node, Response, Session, User, at_once};
use serde_json::json;

async fn is_verified(alice: &User) -> bool {
    alice.session.me().await.is_yes(200).data()["emailVerified"] == true
}

#[tokio::test]
async fn registration_sends_a_mail_whose_token_verifies_the_address() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    assert!(!is_verified(&alice).await);
    let token = node.mail_to(&alice.email).await.token();
    assert!(token.starts_with("evt_"), "{token}");
    let body = json!({ "token": token });
    let answer = alice.session.post("/users/me/verify-email/confirm", body.clone()).await;
    let answer = answer.is_yes(200);
    has_exactly(&answer.body, &["success", "message"]);
    assert_eq!(answer.body["message"], "Email verified successfully");
    assert!(is_verified(&alice).await);
    alice.session.post("/users/me/verify-email/confirm", body).await.is_no(401, "token_used");
}

#[tokio::test]
async fn another_mail_can_be_asked_for_until_the_address_is_verified() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let asks = async || alice.session.post("/users/me/verify-email/send", json!({})).await;
    let answer = asks().await.is_yes(200);
    assert_eq!(answer.body["message"], "Verification email sent");
    let mails = node.mails_to(&alice.email).await;
    assert_eq!(mails.len(), 2);
    let verifies =
        async |token: &str| node.api.post("/auth/verify-email", json!({ "token": token })).await;
    verifies(&mails[1].token()).await.is_yes(200);
    assert!(is_verified(&alice).await);
    asks().await.is_yes(200);
    assert_eq!(node.mails_to(&alice.email).await.len(), 2, "there is nothing left to verify");
    verifies(&mails[1].token()).await.is_no(401, "token_used");
}

#[tokio::test]
async fn nobody_verifies_for_another() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let body = json!({ "token": node.mail_to(&alice.email).await.token() });
    let foreign = bob.session.post("/users/me/verify-email/confirm", body.clone()).await;
    foreign.is_no(401, "invalid_token");
    assert!(!is_verified(&bob).await && !is_verified(&alice).await);
    alice.session.post("/users/me/verify-email/confirm", body).await.is_yes(200);
}

#[tokio::test]
async fn a_token_that_is_none_verifies_nothing() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for path in ["/auth/verify-email", "/users/me/verify-email/confirm"] {
        let never = json!({ "token": format!("evt_1_{}", "x".repeat(43)) });
        alice.session.post(path, never).await.is_no(401, "invalid_token");
        alice.session.post(path, json!({})).await.is_no(400, "validation_error");
    }
}

#[tokio::test]
async fn of_many_at_once_one_verifies() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let token = node.mail_to(&alice.email).await.token();
    let answers = at_once(64, |_| {
        let (api, body) = (node.api.clone(), json!({ "token": token }));
        async move { api.post("/auth/verify-email", body).await }
    });
    let (yes, no): (Vec<_>, Vec<_>) =
        answers.await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((yes.len(), no.len()), (1, 63));
    no.into_iter().for_each(|answer| drop(answer.is_no(401, "token_used")));
}

#[tokio::test]
async fn an_address_gets_five_of_these_mails_an_hour_as_shipped() {
    let node = Node::with("limits.email_verification", "5/hour").start().await;
    let alice = node.register("alice").await;
    let asks = async || alice.session.post("/users/me/verify-email/send", json!({})).await;
    for left in (0..5).rev() {
        let answer = asks().await.is_yes(200);
        assert_eq!(answer.header("x-ratelimit-bucket"), "email_verification");
        assert_eq!(answer.header("x-ratelimit-limit"), "5");
        assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
    }
    let refused = asks().await.is_no(429, "rate_limit_exceeded");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((600..=720).contains(&wait), "one comes back every twelve minutes, not in {wait} s");
    assert_eq!(refused.header("x-ratelimit-bucket"), "email_verification");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert_eq!(node.mails_to(&alice.email).await.len(), 6);
    node.restart().await;
    asks().await.is_no(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn where_accounts_are_hidden_their_owner_is_told_of_a_registration() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    node.settles(json!({ "hideExistingAccounts": true })).await;
    let known = node.api.registration(&alice.email, &alice.password).await.is_yes(201);
    let new = node.api.registration("bob@example.com", &alice.password).await.is_yes(201);
    has_exactly(known.data(), &["user"]);
    has_exactly(new.data(), &["user"]);
    let mail = node.mail_to(&alice.email).await;
    assert_eq!(mail.subject, "You already have an account with Janua");
    assert!(!mail.text.contains("token="), "{}", mail.text);
    assert!(node.mail_to("bob@example.com").await.token().starts_with("evt_"));
}

#[tokio::test]
async fn a_mail_can_be_asked_for_without_being_signed_in_and_tells_nothing() {
    let node = Node::with("limits.email_verification", "3/hour").start().await;
    let alice = node.register("alice").await;
    let asks = async |email: &str| {
        node.api.post("/auth/verify-email/send", json!({ "email": email })).await
    };
    let known = asks(&alice.email).await.is_yes(200);
    let unknown = asks("nobody@example.com").await.is_yes(200);
    assert_eq!(known.body, unknown.body);
    assert_eq!(node.mails_to("nobody@example.com").await.len(), 0);
    let body = json!({ "token": node.mail_to(&alice.email).await.token() });
    alice.session.post("/auth/verify-email", body.clone()).await.is_yes(200);
    assert!(is_verified(&alice).await);
    // Who has verified the address has nothing to disown.
    node.api.post("/auth/verify-email/disown", body).await.is_no(401, "token_used");
    let mails = node.mails_to(&alice.email).await.len();
    asks(&alice.email).await.is_yes(200);
    assert_eq!(node.mails_to(&alice.email).await.len(), mails, "there is nothing left to verify");
    asks("nobody@example.com").await.is_yes(200);
    for email in [alice.email.as_str(), "nobody@example.com"] {
        asks(email).await.is_yes(200);
        asks(email).await.is_no(429, "rate_limit_exceeded");
    }
    asks("no address").await.is_no(400, "validation_error");
}

#[tokio::test]
async fn the_owner_of_an_address_disowns_what_somebody_else_has_made_with_it() {
    let node = Node::start().await;
    let mallory = node.register("alice").await;
    mallory.enrols_an_app().await;
    let body = json!({ "token": node.mail_to(&mallory.email).await.token() });
    let disowned = node.api.post("/auth/verify-email/disown", body).await.is_yes(200);
    has_exactly(&disowned.body, &["success", "message"]);
    mallory.session.is_over().await;
    mallory.guesses(&mallory.password).await.is_no(401, "invalid_credentials");
}

/// Somebody who reads the mail to an address, and is signed in to nothing.
struct Owner<'a> {
    node: &'a Node,
    email: &'a str,
}

impl Owner<'_> {
    async fn posts(&self, path: &str) -> Response {
        let token = self.node.mail_to(self.email).await.token();
        self.node.api.post(path, json!({ "token": token })).await
    }

    /// Does what the first mail asks for, without an idea.
    async fn confirms(&self) {
        self.posts("/auth/verify-email").await.is_yes(200);
    }

    /// How many mails they get for asking.
    async fn asks(&self) -> usize {
        let before = self.node.mails_to(self.email).await.len();
        let ask = json!({ "email": self.email });
        self.node.api.post("/auth/verify-email/send", ask).await.is_yes(200);
        self.node.mails_to(self.email).await.len() - before
    }

    /// Comes by a reset, and logs in with the new password.
    async fn sets_a_password(&self, password: &str) -> Response {
        let api = &self.node.api;
        api.post("/auth/password/forgot", json!({ "email": self.email })).await.is_yes(200);
        let token = self.node.mail_to(self.email).await.token();
        let body = json!({ "token": token, "newPassword": password });
        api.post("/auth/password/reset", body).await.is_yes(200);
        api.login(self.email, password).await.is_yes(200)
    }

    async fn disowns(&self) {
        assert_eq!(self.asks().await, 1, "there is something to say");
        self.posts("/auth/verify-email/disown").await.is_yes(200);
    }
}

#[tokio::test]
async fn an_owner_who_has_confirmed_takes_away_what_a_stranger_has_set_up_since() {
    let node = Node::start().await;
    let mut mallory = node.register("alice").await;
    mallory.enrols_an_app().await;
    let email = mallory.email.clone();
    let owner = Owner { node: &node, email: &email };
    owner.confirms().await;
    mallory.changes_password("A-second-river-41!").await;
    mallory.session.is_alive().await;
    owner.disowns().await;
    mallory.session.is_over().await;
    mallory.guesses(&mallory.password).await.is_no(401, "invalid_credentials");
    assert_eq!(owner.asks().await, 0, "nothing of a stranger's is left");
}

#[tokio::test]
async fn a_stranger_who_shows_their_own_app_keeps_no_owner_out() {
    let node = Node::start().await;
    let mallory = node.register("alice").await;
    let owner = Owner { node: &node, email: &mallory.email };
    owner.confirms().await;
    // The app comes only now, in the session that the confirmation has left.
    let mut app = mallory.enrols_an_app().await;
    mallory.logs_in_with(&mut app).await.is_alive().await;
    let asked = owner.sets_a_password("A-second-river-41!").await;
    assert_eq!(asked.data()["requiresMfa"], true, "{}", asked.text);
    owner.disowns().await;
    let entered = owner.sets_a_password("A-third-river-43!").await;
    assert_ne!(entered.data()["requiresMfa"], true, "{}", entered.text);
    Session::of(&node.api, entered.data()).is_alive().await;
}

#[tokio::test]
async fn who_confirms_with_the_token_of_a_session_is_the_owner_and_another_s_token_says_nothing() {
    let node = Node::start().await;
    let (alice, carol) = (node.register("alice").await, node.register("carol").await);
    for user in [&alice, &carol] {
        user.enrols_an_app().await;
    }
    let body = json!({ "token": node.mail_to(&alice.email).await.token() });
    alice.session.post("/auth/verify-email", body).await.is_yes(200);
    assert_eq!(Owner { node: &node, email: &alice.email }.asks().await, 0);

    let owner = Owner { node: &node, email: &carol.email };
    let body = json!({ "token": node.mail_to(&carol.email).await.token() });
    alice.session.post("/auth/verify-email", body).await.is_yes(200);
    assert_eq!(owner.asks().await, 1);
    // She has confirmed on another device, and does so where she is signed in when she is asked.
    let body = json!({ "token": node.mail_to(&carol.email).await.token() });
    carol.session.post("/users/me/verify-email/confirm", body).await.is_yes(200);
    assert_eq!(owner.asks().await, 0);
    carol.session.is_alive().await;
}

#[tokio::test]
async fn the_mail_about_a_contested_account_says_so_and_confirming_does_not_use_it_up() {
    let node = Node::start().await;
    let mallory = node.register("alice").await;
    let owner = Owner { node: &node, email: &mallory.email };
    owner.confirms().await;
    assert_eq!(owner.asks().await, 1);
    let mail = node.mail_to(owner.email).await;
    assert_eq!(mail.subject, "Is this your account? Janua");
    assert!(mail.text.contains("somebody else may have set up"), "{}", mail.text);
    owner.confirms().await;
    owner.posts("/auth/verify-email/disown").await.is_yes(200);
    mallory.session.is_over().await;
}

#[tokio::test]
async fn a_stranger_who_asks_for_mails_uses_up_nothing_of_the_owners() {
    let node = Node::with("limits.email_verification", "3/hour").start().await;
    let alice = node.register("alice").await;
    let stranger_asks =
        async || node.api.post("/auth/verify-email/send", json!({ "email": alice.email })).await;
    for _ in 0..3 {
        stranger_asks().await.is_yes(200);
    }
    stranger_asks().await.is_no(429, "rate_limit_exceeded");
    alice.session.post("/users/me/verify-email/send", json!({})).await.is_yes(200);
}
