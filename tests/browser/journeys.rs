//! What people do on the pages, in a real browser.

use janua_tests::Node;
use janua_tests::chromium::{Browser, Key};
use janua_tests::people::PASSWORD;

use crate::mail::link_to;

#[tokio::test]
async fn somebody_signs_up_signs_out_and_in_again() {
    let node = Node::start().await;
    let browser = Browser::visiting(&node).await;
    browser.opens("/ui/sign-in").await;
    browser.presses("Create account").await;
    browser.reads_heading("Create your account").await;
    browser.fills("email", "alice@example.com").await;
    browser.fills("password", "password1").await;
    browser.presses("Create account").await;
    browser.reads("This password is too easy to guess.").await;
    assert_eq!(browser.focus().await, "Password", "the focus is where the fault is");
    assert_eq!(browser.value_of("email").await, "alice@example.com");
    assert_eq!(browser.value_of("password").await, "");
    browser.fills("password", PASSWORD).await;
    browser.presses("Create account").await;
    browser.reads_heading("Your account").await;
    browser.reads("You are signed in as alice@example.com.").await;
    assert_eq!(browser.runs("return document.cookie").await, "", "a script can read a cookie");
    browser.presses("Sign out").await;
    browser.reads_heading("You are signed out").await;

    browser.presses("Sign in").await;
    browser.reads_heading("Sign in").await;
    browser.fills("email", "alice@example.com").await;
    browser.fills("password", "Wrong-river-11!").await;
    browser.presses("Show password").await;
    let kind = "return document.getElementById('password').type";
    assert_eq!(browser.runs(kind).await, "text");
    browser.presses("Sign in").await;
    browser.reads("Address and password do not belong together.").await;
    browser.fills("password", PASSWORD).await;
    browser.presses("Sign in").await;
    browser.reads_heading("Your account").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let node = Node::start().await;
    node.register("alice").await;
    let browser = Browser::visiting(&node).await;
    browser.opens("/ui/sign-in").await;
    browser.reads_heading("Sign in").await;
    assert_eq!(browser.focus().await, "E-mail address");
    browser.types("alice@example.com").await;
    let mut passed = Vec::new();
    while browser.focus().await != "Password" {
        browser.key(Key::Tab).await;
        passed.push(browser.focus().await);
        assert!(passed.len() < 6, "{passed:?}");
    }
    browser.types(PASSWORD).await;
    browser.key(Key::Enter).await;
    browser.reads_heading("Your account").await;
    let mut passed = Vec::new();
    while browser.focus().await != "Sign out" {
        browser.key(Key::Tab).await;
        passed.push(browser.focus().await);
        assert!(passed.len() < 9, "{passed:?}");
    }
    browser.key(Key::Enter).await;
    browser.reads_heading("You are signed out").await;
}

#[tokio::test]
async fn mailed_links_are_followed_and_leave_no_token_behind() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let browser = Browser::visiting(&node).await;
    browser.opens("/ui/sign-in").await;
    browser.presses("E-mail me a sign-in link").await;
    browser.reads_heading("Sign in by e-mail").await;
    browser.fills("email", &alice.email).await;
    browser.presses("Send the link").await;
    browser.reads_heading("Check your e-mail").await;
    browser.opens(&link_to(&node, "/ui/magic-link", &alice.email).await).await;
    browser.reads_heading("Sign in to Janua").await;
    assert_eq!(browser.address().await, "/ui/magic-link", "the token has left the address");
    browser.presses("Sign in now").await;
    browser.reads_heading("Your account").await;

    browser.opens("/ui/forgot").await;
    browser.fills("email", &alice.email).await;
    browser.presses("Send the link").await;
    browser.reads_heading("Check your e-mail").await;
    browser.opens(&link_to(&node, "/ui/reset", &alice.email).await).await;
    browser.reads_heading("Choose a new password").await;
    assert_eq!(browser.address().await, "/ui/reset");
    browser.fills("password", "Eight-loud-rivers-93!").await;
    browser.presses("Save the new password").await;
    browser.reads_heading("Your password is changed").await;
    node.api.login(&alice.email, "Eight-loud-rivers-93!").await.is_yes(200);

    browser.opens(&link_to(&node, "/ui/verify", &alice.email).await).await;
    browser.reads_heading("Confirm your e-mail address").await;
    browser.presses("Confirm").await;
    browser.reads_heading("Your address is confirmed").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_pages_speak_spanish_and_need_no_scripts() {
    let node = Node::start().await;
    let browser = Browser::speaking("es", &node).await;
    browser.has_scripts(false).await;
    browser.opens("/ui/sign-up").await;
    browser.reads_heading("Crea tu cuenta").await;
    browser.fills("email", "alicia@example.com").await;
    browser.fills("password", "corta").await;
    browser.presses("Crear cuenta").await;
    browser.reads("Usa al menos 8 caracteres.").await;
    browser.fills("password", PASSWORD).await;
    browser.presses("Crear cuenta").await;
    browser.reads_heading("Tu cuenta").await;
    browser.presses("English").await;
    browser.reads_heading("Your account").await;
    browser.presses("Sign out").await;
    browser.reads_heading("You are signed out").await;
    assert!(!browser.offers("Sign in with a passkey").await, "it would do nothing");
}
