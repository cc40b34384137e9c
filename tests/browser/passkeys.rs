//! Passkeys on the pages, with Chromium's virtual authenticator.

use janua_tests::chromium::Browser;
use janua_tests::people::PASSWORD;
use janua_tests::{Node, User};
use serde_json::json;

/// A browser for a node that takes passkeys from its own pages.
async fn browser_for(node: &Node) -> Browser {
    let browser = Browser::visiting(node).await;
    let webauthn = json!({ "rpId": "localhost", "origins": [browser.origin()] });
    node.configure(json!({ "webauthn": webauthn })).await;
    browser
}

async fn signs_in(browser: &Browser, user: &User) {
    browser.opens("/ui/sign-in").await;
    browser.fills("email", &user.email).await;
    browser.fills("password", PASSWORD).await;
    browser.presses("Sign in").await;
}

#[tokio::test]
async fn a_passkey_is_added_and_signs_its_owner_in_without_an_address() {
    let node = Node::start().await;
    let browser = browser_for(&node).await;
    let alice = node.register("alice").await;
    signs_in(&browser, &alice).await;
    browser.reads_heading("Your account").await;
    let authenticator = browser.has_authenticator().await;
    browser.presses("Passkeys").await;
    browser.reads("You have no passkey yet.").await;
    browser.presses("Add a passkey").await;
    browser.reads("The passkey was added.").await;
    assert!(!browser.text().await.contains("You have no passkey yet."));
    browser.presses("Your account").await;
    browser.presses("Sign out").await;
    browser.reads_heading("You are signed out").await;

    // Its owner is not recognised: nothing happens but a word about it.
    browser.is_recognised(&authenticator, false).await;
    browser.opens("/ui/sign-in?lang=en").await;
    browser.presses("Sign in with a passkey").await;
    browser.reads("No passkey was chosen.").await;
    browser.is_recognised(&authenticator, true).await;
    browser.presses("Sign in with a passkey").await;
    browser.reads_heading("Your account").await;
    browser.reads("You are signed in as alice@example.com.").await;
}

#[tokio::test]
async fn a_passkey_is_a_second_factor() {
    let node = Node::start().await;
    let browser = browser_for(&node).await;
    let alice = node.register("alice").await;
    signs_in(&browser, &alice).await;
    browser.reads_heading("Your account").await;
    let authenticator = browser.has_authenticator().await;
    browser.opens("/ui/passkeys").await;
    browser.presses("Add a passkey").await;
    browser.reads("The passkey was added.").await;
    // Else the passkey that the page offers beside the address would be taken at once.
    browser.is_recognised(&authenticator, false).await;
    let mut app = alice.enrols_an_app().await;
    browser.opens("/ui/account").await;
    browser.presses("Sign out").await;
    browser.reads_heading("You are signed out").await;

    signs_in(&browser, &alice).await;
    browser.reads_heading("One more step").await;
    browser.is_recognised(&authenticator, true).await;
    browser.presses("Use a passkey").await;
    browser.reads_heading("Your account").await;
    browser.is_recognised(&authenticator, false).await;
    browser.presses("Sign out").await;
    browser.reads_heading("You are signed out").await;

    signs_in(&browser, &alice).await;
    browser.reads_heading("One more step").await;
    browser.presses("Use the authenticator app").await;
    browser.fills("code", &app.code().await).await;
    browser.presses("Confirm").await;
    browser.reads_heading("Your account").await;
}
