//! The OpenAPI document against the server: it is OpenAPI 3.0, and what it allows is not refused for
//! its form, while what it forbids is.

use std::collections::BTreeSet;

use http::{Method, Request};
use janua_http::endpoint::Access;
use serde_json::{Map, Value, json};

use crate::house::{House, bearing, token};
use crate::support::ask;

async fn openapi(house: &House) -> Value {
    ask(&house.app, Request::get("/openapi.json"), "").await.json()
}

/// Visits every object of a document, with the name under which it stands.
fn each<'a>(name: &str, value: &'a Value, visit: &mut impl FnMut(&str, &'a Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            visit(name, members);
            members.iter().for_each(|(name, value)| each(name, value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| each(name, item, visit)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_openapi_3_0() {
    let house = House::new().await;
    let document = openapi(&house).await;
    assert_eq!(document["openapi"], "3.0.3");
    let known = ["openapi", "info", "servers", "paths", "components", "tags", "security"];
    assert!(document.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
    let mut ids = BTreeSet::new();
    each("", &document, &mut |name, object| {
        // The fields of a schema may have any name.
        if name != "properties" {
            assert!(object.get("type").is_none_or(Value::is_string), "{object:?}");
            assert_ne!(object.get("type"), Some(&json!("null")), "{object:?}");
            for word in ["const", "$schema", "propertyNames", "prefixItems", "if", "$defs"] {
                assert!(!object.contains_key(word), "3.0 does not know {word}: {object:?}");
            }
            for bound in ["exclusiveMinimum", "exclusiveMaximum"] {
                assert!(object.get(bound).is_none_or(Value::is_boolean), "{object:?}");
            }
            assert!(object.get("examples").is_none_or(Value::is_object), "{object:?}");
        }
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            assert_eq!(object.len(), 1, "nothing beside a reference is read: {object:?}");
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some_and(Value::is_object), "{reference} leads nowhere");
        }
        if let Some(id) = object.get("operationId") {
            assert!(ids.insert(id.to_string()), "{id} stands twice");
        }
    });
    assert_eq!(ids.len(), house.app.endpoints().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_that_is_a_yes_has_a_described_content() {
    let house = House::new().await;
    let document = openapi(&house).await;
    for endpoint in house.app.endpoints() {
        let operation = &document["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        let responses = operation["responses"].as_object().unwrap();
        let is_yes = |(status, _): &(&String, &Value)| status.starts_with(['2', '3']);
        let (status, yes) = responses.iter().find(is_yes).unwrap();
        if status.starts_with('3') {
            // It leads elsewhere, and says nothing itself.
            continue;
        }
        let content = yes["content"].as_object().into_iter().flatten();
        let schemas: Vec<_> = content.map(|(_, content)| &content["schema"]).collect();
        assert!(!schemas.is_empty(), "{} {}", endpoint.method, endpoint.path);
        assert!(schemas.iter().all(|schema| schema.is_object()), "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_short_enough_for_every_reader() {
    let house = House::new().await;
    let document = openapi(&house).await;
    let yaml = ask(&house.app, Request::get("/openapi.yaml"), "").await;
    let each = yaml.body.len() / house.app.endpoints().count();
    assert!(each < 5120, "an endpoint takes {each} bytes");
    assert!(document["components"]["responses"].as_object().unwrap().len() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_says_who_may_call_and_stands_under_a_described_tag() {
    let house = House::new().await;
    let document = openapi(&house).await;
    let tags = document["tags"].as_array().unwrap();
    let described: BTreeSet<_> = tags.iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    for word in ["contact", "license"] {
        assert!(document["info"][word]["url"].is_string(), "{}", document["info"]);
    }
    let mut used = BTreeSet::new();
    for endpoint in house.app.endpoints() {
        let operation = &document["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        let securities = operation["security"].as_array().expect("a list, be it empty");
        assert_eq!(securities.is_empty(), endpoint.access == Access::Service, "{operation}");
        assert!(operation["description"].as_str().is_some_and(|text| text.starts_with("Needs ")));
        used.insert(operation["tags"][0].as_str().unwrap());
    }
    assert_eq!(used, described);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_challenge_may_be_is_documented() {
    let house = House::new().await;
    let document = openapi(&house).await;
    let body = &document["components"]["schemas"]["VerifyLinkRequest"]["properties"];
    for name in ["codeChallenge", "codeChallengeMethod"] {
        assert!(body[name]["pattern"].is_string(), "{name}: {body}");
    }
    let sent = |challenge: Value, method: Value| json!({ "token": "ml_x", "codeChallenge": challenge, "codeChallengeMethod": method });
    let challenge = body["codeChallenge"]["example"].clone();
    for (body, field) in [
        (sent(Value::Null, "S256".into()), "codeChallenge"),
        (sent("short".into(), "S256".into()), "codeChallenge"),
        (sent(challenge.clone(), "plain".into()), "codeChallengeMethod"),
    ] {
        let refused = house.post("/auth/magic-link/verify", body).await;
        refused.refuses(400, "validation_error");
        assert_eq!(refused.json()["error"]["details"][0]["field"], field);
    }
    let right = sent(challenge, "S256".into());
    house.post("/auth/magic-link/verify", right).await.refuses(401, "invalid_token");
}

/// A text of so many characters that `field` may hold, as far as its other rules go.
fn text(field: &str, length: usize) -> String {
    match field {
        "avatar" => format!("https://a.example/{}", "x".repeat(length - 18)),
        _ => "ü".repeat(length),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_text_that_is_documented_is_the_longest_that_is_taken() {
    let house = House::new().await;
    let access_token = token(&house.register("user@example.com").await);
    let schemas = openapi(&house).await["components"]["schemas"].clone();
    let bodies = [
        (Method::POST, "/auth/register", "RegisterRequest", ""),
        (Method::POST, "/auth/login", "LogInRequest", ""),
        (Method::POST, "/auth/login", "DeviceInfo", "deviceInfo"),
        (Method::PUT, "/users/me", "UpdateRequest", ""),
        (Method::POST, "/users/me/change-password", "ChangePasswordRequest", ""),
        (Method::DELETE, "/users/me", "DeleteRequest", ""),
    ];
    let mut tried = 0;
    for (method, path, schema, within) in bodies {
        for (name, field) in schemas[schema]["properties"].as_object().unwrap() {
            let Some(most) = field["maxLength"].as_u64().filter(|_| name != "email") else {
                continue;
            };
            let complains = async |length: usize| {
                let value = json!({ name: text(name, length) });
                let body = if within.is_empty() { value } else { json!({ within: value }) };
                let request = Request::builder().method(method.clone()).uri(path);
                let answer = house.send(bearing(request, &access_token), &body).await.json();
                let at = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
                let details = answer["error"]["details"].as_array().cloned().unwrap_or_default();
                details.iter().any(|detail| detail["field"] == at)
            };
            assert!(!complains(most as usize).await, "{schema}.{name} of {most} is refused");
            assert!(complains(most as usize + 1).await, "{schema}.{name} of more is taken");
            tried += 1;
        }
    }
    assert!(tried >= 13, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_settings_are_what_the_document_says() {
    let house = House::new().await;
    let document = openapi(&house).await;
    let schemas = &document["components"]["schemas"];
    let path = "/admin/tenants/default";
    let shown = house.get(path, &house.operator).await.json()["data"]["settings"].clone();
    let complete = &schemas["Tenant"]["properties"]["settings"];
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&complete["properties"]), names(&shown));
    assert_eq!(complete["additionalProperties"], false);

    let patched = async |at: &[&str], value: Value| {
        let patch = at.iter().rev().fold(value, |value, name| json!({ (*name): value }));
        let request = bearing(Request::patch(path), &house.operator);
        house.send(request, &json!({ "settings": patch })).await.status
    };
    let patch = &schemas["ConfigureRequest"]["properties"]["settings"]["properties"];
    for (section, described) in patch.as_object().unwrap() {
        assert_eq!(described["nullable"], true, "{section}");
        let fields = described["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(name, field)| (vec![section.as_str(), name], field));
        for (at, field) in fields.chain([(vec![section.as_str()], described)]) {
            for value in field["enum"].as_array().into_iter().flatten() {
                assert_eq!(patched(&at, value.clone()).await, 200, "{at:?} {value}");
            }
            if field["type"] == "integer" {
                let [least, most] = ["minimum", "maximum"].map(|key| field[key].as_f64().unwrap());
                for (value, status) in
                    [(least, 200), (most, 200), (least - 1.0, 400), (most + 1.0, 400)]
                {
                    assert_eq!(patched(&at, json!(value as i64)).await, status, "{at:?} {value}");
                }
            }
        }
    }
    assert_eq!(patched(&["colour"], json!("red")).await, 400);
    for (at, array) in [
        (vec!["tokens"], json!([3600, 604_800, false, "ES256"])),
        (vec!["sms"], json!(["https://a.example"])),
        (vec!["oauth", "acme"], json!(["id", "https://a.example", true])),
    ] {
        assert_eq!(patched(&at, array).await, 400, "an array is no object: {at:?}");
    }
    assert_eq!(patched(&["oauth", "acme", "clientId"], json!("id")).await, 200);
    for name in ["", "a/b", "a b", "ä", &"a".repeat(65)] {
        let at = ["oauth", name];
        assert_eq!(patched(&at, json!({})).await, 400, "{name} stands in no address");
        assert_eq!(patched(&at, Value::Null).await, 200, "{name} may go");
    }
    for page in ["https://*.example.com/back", "https://app.example.com/*"] {
        assert_eq!(patched(&["redirectUrls"], json!([page])).await, 400, "{page} fits nothing");
    }
}
