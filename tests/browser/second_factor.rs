//! The second factor on the pages.

use janua_tests::Node;
use janua_tests::people::PASSWORD;
use janua_tests::visitor::Visitor;
use reqwest::Url;
use serde_json::json;

/// A visitor who has shown the password.
async fn after_the_password(node: &Node, email: &str) -> Visitor {
    let mut visitor = Visitor::opens(node, "/ui/sign-in").await;
    visitor.submits("/ui/sign-in", &[("email", email), ("password", PASSWORD)]).await;
    visitor.reads_heading("One more step");
    assert_eq!(visitor.cookie("janua-session"), None, "one factor is not enough");
    visitor
}

#[tokio::test]
async fn a_code_of_the_app_completes_a_login() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let mut visitor = after_the_password(&node, &alice.email).await;
    visitor.reads("autocomplete=\"one-time-code\"");
    assert!(
        !visitor.page.text.contains("tmp_"),
        "the token of the first factor stands on the page"
    );
    visitor.posts("/ui/mfa", &[("code", &app.wrong_code())]).await;
    assert_eq!(visitor.page.status, 401);
    visitor.reads("The code is not right.");
    visitor.posts("/ui/mfa", &[]).await;
    visitor.reads("Enter the code.");
    let code = app.code().await;
    visitor.submits("/ui/mfa", &[("code", &format!(" {code} "))]).await;
    visitor.reads_heading("Your account");
    assert_eq!(visitor.cookie("janua-second-factor"), None);
}

#[tokio::test]
async fn a_backup_code_does_too_and_guesses_end_the_login() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let app = alice.enrols_an_app().await;
    let mut visitor = after_the_password(&node, &alice.email).await;
    visitor.goes_to("/ui/mfa?method=backup_code").await;
    visitor.reads("Backup code");
    visitor.submits("/ui/mfa", &[("code", &app.backup_codes[0])]).await;
    visitor.reads_heading("Your account");

    let mut visitor = after_the_password(&node, &alice.email).await;
    for _ in 0..5 {
        visitor.goes_to("/ui/mfa").await;
        visitor.submits("/ui/mfa", &[("code", &app.wrong_code())]).await;
    }
    visitor.goes_to("/ui/mfa").await;
    if visitor.page.text.contains("name=\"code\"") {
        visitor.submits("/ui/mfa", &[("code", &app.wrong_code())]).await;
    }
    visitor.reads_heading("That took too long");
    visitor.goes_to("/ui/mfa").await;
    visitor.reads_heading("That took too long");
}

#[tokio::test]
async fn who_is_kept_out_by_a_stranger_s_app_finds_the_way_in_from_the_page() {
    let node = Node::start().await;
    let mallory = node.register("alice").await;
    mallory.enrols_an_app().await;
    // The owner of the address comes by a mailed link, and is asked for a code that they never had.
    node.api.post("/auth/magic-link/send", json!({ "email": mallory.email })).await.is_yes(200);
    let mut owner = Visitor::opens(&node, &path_in(&node, &mallory.email).await).await;
    owner.submits("/ui/magic-link", &[]).await;
    owner.reads_heading("One more step");
    let not_mine = owner.link("/ui/verify/send");
    owner.goes_to(&not_mine).await;
    owner.reads_heading("Is this not yours?");
    owner.submits("/ui/verify/send", &[("email", "no address")]).await;
    assert_eq!(owner.page.status, 400);
    owner.submits("/ui/verify/send", &[("email", &mallory.email)]).await;
    owner.reads_heading("Check your e-mail");
    owner.goes_to(&path_in(&node, &mallory.email).await).await;
    owner.submits("/ui/verify", &[("disown", "1")]).await;
    owner.reads_heading("Nobody uses your address");
    node.api.post("/auth/magic-link/send", json!({ "email": mallory.email })).await.is_yes(200);
    owner.goes_to(&path_in(&node, &mallory.email).await).await;
    owner.submits("/ui/magic-link", &[]).await;
    owner.reads_heading("Your account");
}

/// Where the newest mail to an address leads.
async fn path_in(node: &Node, email: &str) -> String {
    let link: Url = node.mail_to(email).await.link.parse().expect("a URL");
    format!("{}?{}", link.path(), link.query().unwrap_or_default())
}
