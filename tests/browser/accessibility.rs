//! The pages against axe-core, by day and in the dark, with and without faults (WCAG 2.2 AA).

use janua_tests::Node;
use janua_tests::chromium::Browser;
use janua_tests::people::PASSWORD;
use serde_json::json;

async fn has_no_barriers(browser: &Browser, page: &str) {
    let barriers = browser.barriers().await;
    assert!(barriers.is_empty(), "{page}: {barriers:#?}");
}

#[tokio::test]
async fn nothing_keeps_anybody_out() {
    let node = Node::start().await;
    node.configure(json!({ "branding": { "primaryColor": "#ffcc00" } })).await;
    let alice = node.register("alice").await;
    alice.enrols_an_app().await;
    let browser = Browser::visiting(&node).await;
    for page in [
        "/ui/sign-in",
        "/ui/sign-in?lang=es",
        "/ui/sign-up",
        "/ui/magic-link",
        "/ui/magic-link?token=ml_1_x",
        "/ui/forgot",
        "/ui/reset?token=rst_1_x",
        "/ui/verify?token=evt_1_x",
        "/ui/verify/send",
        "/ui/done/mail-sent",
        "/ui/done/nothing",
    ] {
        browser.opens(page).await;
        has_no_barriers(&browser, page).await;
    }
    browser.opens("/ui/sign-up").await;
    browser.presses("Create account").await;
    browser.reads("Enter a password.").await;
    has_no_barriers(&browser, "a sign-up with faults").await;
    browser.fills("email", "bob@example.com").await;
    browser.fills("password", PASSWORD).await;
    browser.presses("Create account").await;
    browser.reads_heading("Your account").await;
    has_no_barriers(&browser, "/ui/account").await;
    browser.opens("/ui/passkeys").await;
    has_no_barriers(&browser, "/ui/passkeys").await;
    browser.opens("/ui/sign-in").await;
    browser.fills("email", &alice.email).await;
    browser.fills("password", PASSWORD).await;
    browser.presses("Sign in").await;
    browser.reads_heading("One more step").await;
    has_no_barriers(&browser, "/ui/mfa").await;
}
