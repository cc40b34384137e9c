//! What a tenant may settle.

use super::*;
use serde_json::json;

#[test]
fn a_patch_changes_what_it_names() {
    let changed = Settings::default()
        .merged(&json!({ "tokens": { "accessTtl": 60 }, "allowedOrigins": ["https://a.example"] }))
        .expect("a good patch");
    assert_eq!((changed.tokens.access_ttl, changed.tokens.session_ttl), (60, 604_800));
    assert_eq!(changed.allowed_origins, ["https://a.example"]);
}

#[test]
fn secrets_are_sealed_and_never_shown() {
    let mut patch = json!({
        "oauth": { "google": { "clientId": "a", "clientSecret": "hush" } },
        "sms": { "secret": "hush" },
    });
    seal_secrets(&mut patch, |text| Ok(format!("sealed {}", text.len()))).expect("sealed");
    let settings = Settings::default().merged(&patch).expect("a good patch");
    assert_eq!(settings.oauth["google"].client_secret.as_deref(), Some("sealed 4"));
    assert_eq!(settings.sms.secret.as_deref(), Some("sealed 4"));
    let shown = serde_json::to_string(&settings).expect("JSON");
    assert!(!shown.contains("ecret") && !shown.contains("hush"), "{shown}");
}

#[test]
fn unknown_keys_and_wrong_values_are_refused() {
    for patch in [
        json!({ "colour": "red" }),
        json!({ "tokens": { "accessTtl": 1 } }),
        json!({ "tokens": { "signingAlgorithm": "none" } }),
        json!({ "registration": "maybe" }),
        json!({ "allowedOrigins": ["https://a.example/"] }),
        json!({ "redirectUrls": ["http://a.example/back"] }),
        json!({ "redirectUrls": ["javascript:alert(1)"] }),
        json!({ "branding": { "logoUrl": "http://a.example/logo.svg" } }),
        json!({ "branding": { "logoUrl": "javascript:alert(1)" } }),
        json!({ "branding": { "primaryColor": "red" } }),
        json!({ "branding": { "primaryColor": "#12345é" } }),
        json!([]),
    ] {
        let refused = Settings::default().merged(&patch);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{patch} gave {refused:?}");
    }
}
