//! Sessions that have ended between the recognition of a caller and what they ask for.

use http::Request;
use janua_actors::context::Context;
use janua_actors::refusal::Refusal;

use crate::house::{House, bearing, token};
use crate::support::ask;

fn context() -> Context {
    Context { request: None, ip: None, user_agent: None, idempotency: None, operation: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_gets_neither_mails_nor_ceremonies() {
    let house = House::new().await;
    let first = house.register("user@example.com").await;
    let second = house.log_in("user@example.com").await;
    let directory = house.app.directory().unwrap();
    let caller = directory.authenticate(&token(&first)).await.unwrap();
    let tenant = &caller.tenant;
    let mails = async || directory.kept_mails(Some(tenant), 0, 100).await.unwrap().1;
    tenant.send_verification(&context(), &caller).await.unwrap();
    tenant.begin_passkey_registration(&context(), &caller, None, None).await.unwrap();
    let before = mails().await;
    let revoke = bearing(Request::delete("/sessions"), &token(&second));
    assert_eq!(ask(&house.app, revoke, "").await.status, 200);
    let sent = tenant.send_verification(&context(), &caller).await;
    assert!(matches!(sent, Err(Refusal::SessionRevoked)), "{:?}", sent.err());
    let begun = tenant.begin_passkey_registration(&context(), &caller, None, None).await;
    assert!(matches!(begun, Err(Refusal::SessionRevoked)), "{:?}", begun.err());
    assert_eq!(mails().await, before);
}
