//! The pages without scripts: forms, as a browser posts them.

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::visitor::Visitor;
use janua_tests::{Node, Session};
use reqwest::Method;
use serde_json::json;

use crate::mail::link_to;

const BACK: &str = "https://app.example.com/auth/callback";

/// A node whose tenant lets logins lead back to its application.
async fn node_with_application() -> Node {
    let node = Node::start().await;
    node.configure(json!({ "redirectUrls": [BACK] })).await;
    node
}

/// The code with which a visitor is sent back to the application.
#[track_caller]
fn code_of(visitor: &Visitor) -> String {
    let address = visitor.leaves_for();
    let (back, query) = address.split_once('?').expect("a query");
    assert_eq!(back, BACK);
    let code = query.split('&').find_map(|pair| pair.strip_prefix("code="));
    code.expect("a code").to_owned()
}

/// The session that the application gets for a code.
async fn session_of(node: &Node, code: &str) -> Session {
    let exchanged = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
    Session::of(&node.api, exchanged.is_yes(200).data())
}

#[tokio::test]
async fn an_account_is_opened_used_and_left() {
    let node = Node::start().await;
    let mut alice = Visitor::opens(&node, "/ui/sign-up").await;
    let fields = [("email", "alice@example.com"), ("password", PASSWORD), ("firstName", "Alice")];
    alice.submits("/ui/sign-up", &fields).await;
    alice.reads_heading("Your account");
    alice.reads("You are signed in as alice@example.com.");
    alice.reads("This device");
    let token = alice.cookie("janua-session").expect("a session").to_owned();
    assert_eq!(node.api.me(&token).await.is_yes(200).data()["firstName"], "Alice");

    alice.submits("/ui/account", &[("action", "sign-out")]).await;
    alice.reads_heading("You are signed out");
    node.api.me(&token).await.is_no(401, "session_revoked");
    alice.goes_to("/ui/account").await;
    alice.reads_heading("Sign in");
    alice.submits("/ui/sign-in", &[("email", "alice@example.com"), ("password", PASSWORD)]).await;
    alice.reads_heading("Your account");
}

#[tokio::test]
async fn of_a_password_that_is_too_long_it_is_said_that_it_is() {
    let node = Node::start().await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-up").await;
    for length in [257, 4097] {
        let fields = [("email", "alice@example.com"), ("password", &"x".repeat(length))];
        visitor.posts("/ui/sign-up", &fields).await;
        visitor.reads("Use at most 256 characters.");
    }
}

#[tokio::test]
async fn other_sessions_are_ended_from_the_account_page() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    visitor.submits("/ui/sign-in", &[("email", &alice.email), ("password", PASSWORD)]).await;
    // The form of the first session that is listed after this one.
    visitor.submits("/ui/account", &[("action", "end")]).await;
    visitor.reads("Signed out there.");
    let ended = [&alice.session, &phone].map(|session| session.me());
    let [one, two] = ended;
    let alive = [one.await.status, two.await.status];
    assert_eq!(alive.iter().filter(|status| **status == 200).count(), 1, "{alive:?}");
    visitor.submits("/ui/account", &[("action", "end-others")]).await;
    visitor.reads_heading("Your account");
    assert_eq!((alice.session.me().await.status, phone.me().await.status), (401, 401));
}

#[tokio::test]
async fn a_login_ends_at_the_application_with_a_code_that_is_good_once() {
    let node = node_with_application().await;
    let alice = node.register("alice").await;
    let start = format!("/ui/sign-in?redirect_uri={BACK}&state=a%26b");
    let mut visitor = Visitor::opens(&node, &start).await;
    visitor.submits("/ui/sign-in", &[("email", &alice.email), ("password", PASSWORD)]).await;
    assert!(visitor.leaves_for().ends_with("&state=a%26b"), "{}", visitor.leaves_for());
    assert_eq!(visitor.cookie("janua-session"), None, "the session is the application's");
    let code = code_of(&visitor);
    let session = session_of(&node, &code).await;
    session.is_alive().await;
    assert_eq!(session.list().await.len(), 2, "the login and registration, and no third");
    session.refreshes().await.is_alive().await;
    let again = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
    again.is_no(401, "token_used");
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_taken_over() {
    let node = node_with_application().await;
    let alice = node.register("alice").await;
    let start = format!("/ui/sign-in?redirect_uri={BACK}");
    let mut visitor = Visitor::opens(&node, &start).await;
    visitor.submits("/ui/sign-in", &[("email", &alice.email), ("password", PASSWORD)]).await;
    let code = code_of(&visitor);
    alice.session.delete("/sessions").await.is_yes(200);
    let late = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
    late.is_no(401, "session_revoked");
}

#[tokio::test]
async fn a_login_leads_nowhere_else() {
    let node = node_with_application().await;
    for elsewhere in [
        "https://evil.example/auth/callback",
        "//evil.example",
        "/%5Cevil.example",
        "https://app.example.com@evil.example/auth/callback",
        "https://app.example.com.evil.example/auth/callback",
        "https://app.example.com%09/auth/callback",
        "http://app.example.com/auth/callback",
        "javascript:alert(1)",
    ] {
        let path = format!("/ui/sign-in?redirect_uri={elsewhere}");
        let mut visitor = Visitor::opens(&node, &path).await;
        assert_eq!(visitor.page.status, 400, "{elsewhere}");
        visitor.reads_heading("That did not work");
        assert!(!visitor.page.text.contains("evil"), "{}", visitor.page.text);
        // Nor when only the form says so.
        visitor.goes_to("/ui/sign-in").await;
        visitor.page.text = visitor.page.text.replace("/ui/sign-in\"", &format!("{path}\""));
        visitor.posts("/ui/sign-in", &[("email", "a@example.com"), ("password", "x")]).await;
        assert_eq!(visitor.page.status, 400, "{elsewhere}");
        assert_eq!(visitor.page.header("refresh"), "");
    }
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_the_rest_stays() {
    let node = Node::start().await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-up").await;
    let name = "\"><script>alert(1)</script>";
    let fields = [("email", "nobody"), ("password", "Wrong-river-11!"), ("firstName", name)];
    visitor.posts("/ui/sign-up", &fields).await;
    assert_eq!(visitor.page.status, 400);
    visitor.reads("<title>Error: Create your account – Janua</title>");
    visitor.reads("role=\"alert\"");
    visitor.reads("id=\"email-fault\">Enter an address such as name@example.com.");
    visitor
        .reads("value=\"nobody\" aria-invalid=\"true\" aria-describedby=\"email-fault\" autofocus");
    assert!(!visitor.page.text.contains("<script>alert"), "{}", visitor.page.text);
    assert!(!visitor.page.text.contains("Wrong-river"), "the password came back");
    visitor.posts("/ui/sign-up", &[("email", "a@example.com"), ("password", "short")]).await;
    assert_eq!(visitor.page.status, 422);
    visitor.reads("Use at least 8 characters.");
    visitor.posts("/ui/sign-up", &[("email", "a@example.com"), ("password", "password1")]).await;
    visitor.reads("This password is too easy to guess.");
    visitor.posts("/ui/sign-up", &[]).await;
    visitor.reads("Enter your e-mail address.");
    visitor.reads("Enter a password.");
    node.register("bob").await;
    visitor.posts("/ui/sign-up", &[("email", "bob@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(visitor.page.status, 409);
    visitor.reads("An account with this address exists already.");
}

#[tokio::test]
async fn pages_do_not_tell_who_has_an_account() {
    let node = Node::start().await;
    node.register("alice").await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    let mut answers = Vec::new();
    for name in ["alice", "nobody"] {
        let email = format!("{name}@example.com");
        visitor.goes_to("/ui/sign-in").await;
        visitor.posts("/ui/sign-in", &[("email", &email), ("password", "Wrong-river-11!")]).await;
        let mut said = vec![(visitor.page.status, visitor.page.text.replace(name, "NAME"))];
        for (page, action) in
            [("/ui/forgot", "/ui/forgot"), ("/ui/magic-link", "/ui/magic-link/send")]
        {
            visitor.goes_to(page).await;
            visitor.submits(action, &[("email", &email)]).await;
            said.push((visitor.page.status, visitor.page.text.clone()));
        }
        answers.push(said);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0][0].1.contains("Address and password do not belong together."));
    assert!(answers[0][1].1.contains("If the address has an account"));
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    let token = visitor.cookie("janua-form").expect("a cookie").to_owned();
    let body = format!("formToken={token}&email=alice%40example.com&password={PASSWORD}");
    let post = |visitor: &Visitor, body: &str| {
        let request = visitor.request(Method::POST, "/ui/sign-in").body(body.to_owned());
        request.header("Content-Type", "application/x-www-form-urlencoded")
    };
    let refused = [
        post(&visitor, &body).header("Sec-Fetch-Site", "cross-site"),
        post(&visitor, &body).header("Sec-Fetch-Site", "same-site"),
        post(&visitor, &body).header("Origin", "https://evil.example"),
        post(&visitor, &body.replace(&token, "another")).header("Sec-Fetch-Site", "same-origin"),
        post(&visitor, &body.replace("formToken", "x")).header("Sec-Fetch-Site", "same-origin"),
    ];
    for request in refused {
        visitor.receives(request).await;
        assert_eq!(visitor.page.status, 403);
        visitor.reads("This form is too old, or was opened in another browser.");
        assert_eq!(visitor.cookie("janua-session"), None);
    }
    let without_cookie = node.api.request(Method::POST, "/ui/sign-in").body(body.clone());
    let without_cookie = without_cookie.header("Content-Type", "application/x-www-form-urlencoded");
    answer(without_cookie).await.is_no(403, "insufficient_permissions");
    assert_eq!(alice.session.list().await.len(), 1, "nobody was signed in");
    let request = post(&visitor, &body).header("Sec-Fetch-Site", "same-origin");
    visitor.receives(request).await;
    assert!(visitor.cookie("janua-session").is_some());
}

#[tokio::test]
async fn a_mailed_link_is_used_up_by_its_button_alone() {
    let node = node_with_application().await;
    let alice = node.register("alice").await;
    let start = format!("/ui/magic-link?redirect_uri={BACK}");
    let mut visitor = Visitor::opens(&node, &start).await;
    visitor.submits("/ui/magic-link/send", &[("email", &alice.email)]).await;
    visitor.reads_heading("Check your e-mail");
    let link = link_to(&node, "/ui/magic-link", &alice.email).await;
    for _ in 0..3 {
        // As mail scanners do.
        answer(node.api.request(Method::HEAD, &link)).await;
        Visitor::opens(&node, &link).await.reads_heading("Sign in to Janua");
    }
    let mut reader = Visitor::opens(&node, &link).await;
    let page = reader.page.clone();
    reader.submits("/ui/magic-link", &[]).await;
    session_of(&node, &code_of(&reader)).await.is_alive().await;
    reader.page = page;
    reader.posts("/ui/magic-link", &[]).await;
    assert_eq!(reader.page.status, 401);
    reader.reads("The link was used before.");
    let mut broken = Visitor::opens(&node, "/ui/magic-link?token=ml_1_nonsense").await;
    broken.posts("/ui/magic-link", &[]).await;
    broken.reads("The link has expired, or is not right.");
}

#[tokio::test]
async fn a_forgotten_password_is_replaced() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut visitor = Visitor::opens(&node, "/ui/forgot").await;
    visitor.submits("/ui/forgot", &[("email", &alice.email)]).await;
    visitor.reads_heading("Check your e-mail");
    let link = link_to(&node, "/ui/reset", &alice.email).await;
    visitor.goes_to(&link).await;
    visitor.reads_heading("Choose a new password");
    visitor.posts("/ui/reset", &[("password", "password1")]).await;
    visitor.reads("This password is too easy to guess.");
    visitor.submits("/ui/reset", &[("password", "Eight-loud-rivers-93!")]).await;
    visitor.reads_heading("Your password is changed");
    alice.session.me().await.is_no(401, "session_revoked");
    node.api.login(&alice.email, "Eight-loud-rivers-93!").await.is_yes(200);
    visitor.goes_to(&link).await;
    visitor.posts("/ui/reset", &[("password", "Nine-loud-rivers-94!")]).await;
    visitor.reads("The link was used before.");
    visitor.goes_to("/ui/reset").await;
    visitor.reads_heading("The link is not complete");
}

#[tokio::test]
async fn an_address_is_confirmed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let link = link_to(&node, "/ui/verify", &alice.email).await;
    let mut visitor = Visitor::opens(&node, &link).await;
    visitor.reads_heading("Confirm your e-mail address");
    assert_eq!(alice.session.me().await.data()["emailVerified"], false);
    visitor.submits("/ui/verify", &[]).await;
    visitor.reads_heading("Your address is confirmed");
    assert_eq!(alice.session.me().await.data()["emailVerified"], true);
}

#[tokio::test]
async fn where_newcomers_are_not_taken_the_page_says_so() {
    let node = Node::start().await;
    node.configure(json!({ "registration": "closed" })).await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    assert!(!visitor.page.text.contains("/ui/sign-up"));
    visitor.goes_to("/ui/sign-up").await;
    visitor.reads_heading("No new accounts");
    node.configure(json!({ "registration": "open" })).await;
    node.register("alice").await;
    node.configure(json!({ "hideExistingAccounts": true })).await;
    for name in ["alice", "newcomer"] {
        visitor.goes_to("/ui/sign-up").await;
        let email = format!("{name}@example.com");
        visitor.submits("/ui/sign-up", &[("email", &email), ("password", PASSWORD)]).await;
        visitor.reads_heading("Check your e-mail");
    }
}

#[tokio::test]
async fn a_visit_goes_on_behind_a_mailed_link() {
    let node = node_with_application().await;
    let alice = node.register("alice").await;
    let visit = format!("redirect_uri={BACK}&state=of+the+application&lang=es");
    let goes_on = |address: &str| {
        for part in ["redirect_uri=https%3A%2F%2Fapp.example.com", "of+the+application", "lang=es"]
        {
            assert!(address.contains(part), "{part} is not in {address}");
        }
    };
    let mut visitor = Visitor::opens(&node, &format!("/ui/forgot?{visit}")).await;
    visitor.submits("/ui/forgot", &[("email", &alice.email)]).await;
    visitor.goes_to(&link_to(&node, "/ui/reset", &alice.email).await).await;
    visitor.submits("/ui/reset", &[("password", "Eight-loud-rivers-93!")]).await;
    visitor.reads_heading("Tu contraseña ha cambiado");
    goes_on(&visitor.link("/ui/sign-in"));

    let mut visitor = Visitor::opens(&node, &format!("/ui/magic-link?{visit}")).await;
    visitor.submits("/ui/magic-link/send", &[("email", &alice.email)]).await;
    visitor.goes_to(&link_to(&node, "/ui/magic-link", &alice.email).await).await;
    visitor.reads_heading("Iniciar sesión en Janua");
    visitor.submits("/ui/magic-link", &[]).await;
    assert!(visitor.leaves_for().contains("&state=of+the+application"), "{}", visitor.page.text);

    let mut visitor = Visitor::opens(&node, &format!("/ui/sign-up?{visit}")).await;
    let fields = [("email", "bob@example.com"), ("password", PASSWORD)];
    visitor.posts("/ui/sign-up", &fields).await;
    visitor.goes_to(&link_to(&node, "/ui/verify", "bob@example.com").await).await;
    visitor.submits("/ui/verify", &[]).await;
    goes_on(&visitor.link("/ui/sign-in"));
}

#[tokio::test]
async fn the_owner_of_an_address_says_that_an_account_is_not_theirs() {
    let node = Node::start().await;
    let mallory = node.register("alice").await;
    mallory.enrols_an_app().await;
    let link = link_to(&node, "/ui/verify", &mallory.email).await;
    let mut owner = Visitor::opens(&node, &link).await;
    owner.reads("An account was created with this address.");
    owner.submits("/ui/verify", &[("disown", "1")]).await;
    owner.reads_heading("Nobody uses your address");
    mallory.session.is_over().await;
    mallory.guesses(PASSWORD).await.is_no(401, "invalid_credentials");
    // Nor does the app of the other stand in the way of who comes by mail.
    node.api.post("/auth/magic-link/send", json!({ "email": mallory.email })).await.is_yes(200);
    let mut owner =
        Visitor::opens(&node, &link_to(&node, "/ui/magic-link", &mallory.email).await).await;
    owner.submits("/ui/magic-link", &[]).await;
    owner.reads_heading("Your account");
}

#[tokio::test]
async fn a_long_state_of_an_application_does_not_break_the_way_to_a_provider() {
    let issuer = janua_tests::issuer::Issuer::start().await;
    let node = issuer.known_as("acme", Node::prepare()).start().await;
    node.configure(json!({ "redirectUrls": [BACK] })).await;
    let state = "%26".repeat(512);
    let start = format!("/ui/sign-in?redirect_uri={BACK}&state={state}");
    let mut visitor = Visitor::opens(&node, &start).await;
    visitor.posts("/ui/provider", &[]).await;
    assert!(visitor.leaves_for().starts_with(issuer.base()), "{}", visitor.page.text);
}
