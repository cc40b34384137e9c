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
fn the_setting_at_fault_is_named_and_its_value_is_not() {
    for (patch, field, message) in [
        (json!({ "colour": "red" }), "settings.colour", "is not known"),
        (json!({ "sms": { "colour": 5150 } }), "settings.sms.colour", "is not known"),
        (json!({ "sms": { "secret": 5150 } }), "settings.sms.secret", "expected a string"),
        (
            json!({ "tokens": { "accessTtl": "5150" } }),
            "settings.tokens.accessTtl",
            "expected a whole number",
        ),
        (
            json!({ "oauth": { "google": { "enabled": 5150 } } }),
            "settings.oauth.google.enabled",
            "expected true or false",
        ),
        (
            json!({ "registration": "5150" }),
            "settings.registration",
            "expected one of `open`, `invite`, `closed`",
        ),
    ] {
        let refused = Settings::default().merged(&patch);
        assert_eq!(refused, Err(Refusal::field(field, message)), "{patch}");
    }
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

#[test]
fn no_tenant_lets_codes_be_guessed_without_end() {
    let of = |attempts: u32, window: u64, duration: u64| {
        let mut settings = Settings::default();
        (settings.lockout.attempts, settings.lockout.window) = (attempts, window);
        settings.lockout.duration = duration;
        settings.second_factor_policy()
    };
    let shipped = Settings::default();
    assert_eq!(shipped.second_factor_policy(), shipped.lockout_policy());
    for policy in [of(0, 900, 900), of(1000, 1, 1), of(5, 1, 1), of(100, 1, 86_400)] {
        let day = 24 * 3600;
        let (closed, within) = (policy.duration.as_secs(), policy.window.as_secs());
        assert!((1..=500).contains(&policy.attempts), "{policy:?}");
        assert!(u64::from(policy.attempts) * day <= 500 * closed.min(within), "{policy:?}");
    }
}
