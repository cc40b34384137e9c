//! ID tokens that must not be believed (OpenID Connect Core §3.1.3.7).

use janua_tests::issuer::Signature;
use serde_json::{Value, json};

use super::{alice, scene, signs_in};

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

type Twist = (&'static str, Signature, fn(&mut Value));

const TWISTS: [Twist; 13] = [
    ("of no signature", Signature::None, |_| {}),
    ("whose signature was cut off", Signature::Cut, |_| {}),
    ("that the client's secret signs", Signature::Secret, |_| {}),
    ("that somebody else signs", Signature::Stranger, |_| {}),
    ("for another client", Signature::Own, |claims| claims["aud"] = "other".into()),
    ("for others too", Signature::Own, |claims| claims["aud"] = json!(["janua", "other"])),
    ("issued to another client", Signature::Own, |claims| claims["azp"] = "other".into()),
    ("of another issuer", Signature::Own, |claims| claims["iss"] = "https://evil.example".into()),
    ("that has expired", Signature::Own, |claims| claims["exp"] = (now() - 120).into()),
    ("from long ago", Signature::Own, |claims| claims["iat"] = (now() - 3600).into()),
    ("from the future", Signature::Own, |claims| claims["iat"] = (now() + 3600).into()),
    ("for another login", Signature::Own, |claims| claims["nonce"] = "another".into()),
    ("for no login", Signature::Own, |claims| {
        claims.as_object_mut().expect("claims").remove("nonce");
    }),
];

#[tokio::test]
async fn no_token_is_believed_that_does_not_hold() {
    let (node, issuer) = scene().await;
    for (name, signature, twist) in TWISTS {
        issuer.signs(signature, twist);
        let answer = signs_in(&node, &issuer, &alice()).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_credentials"), "a token {name}");
    }
    issuer.signs(Signature::Own, |claims| claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into());
    signs_in(&node, &issuer, &alice()).await.is_no(401, "invalid_credentials");
    issuer.signs(Signature::Own, |claims| claims["azp"] = "janua".into());
    signs_in(&node, &issuer, &alice()).await.is_yes(200);
}
