//! Nothing of a tenant is there for whoever comes with another tenant's keys and tokens, walked over
//! the list of endpoints: a new one is covered by being declared.

use janua_http::endpoint::{Access, Endpoint};
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::{Node, Response, Session, User};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Two tenants on one node: the default one with Alice and an API key, and another with Mallory.
struct Two {
    node: Node,
    alice: User,
    alices_session: String,
    key: String,
    other: Value,
    mallory: Session,
}

impl Two {
    async fn new() -> Self {
        let node = Node::start().await;
        let alice = node.register("alice").await;
        let sessions = alice.session.get("/sessions").await.is_yes(200);
        let alices_session = sessions.data()["sessions"][0]["id"].as_str();
        let alices_session = alices_session.expect("a session").to_owned();
        let key = node.server(Method::POST, "/api-keys");
        let key = answer(key.json(&json!({ "name": "Web", "type": "publishable" }))).await;
        let made = node.api.request(Method::POST, "/admin/tenants");
        let made = made.bearer_auth(node.keys().operator).json(&json!({ "slug": "other" }));
        let other = answer(made).await.is_yes(201).data().clone();
        let register = node.api.request(Method::POST, "/auth/register");
        let register =
            register.header("X-API-Key", other["publishableKey"].as_str().expect("a key"));
        let body = json!({ "email": "mallory@example.com", "password": PASSWORD });
        let registered = answer(register.json(&body)).await.is_yes(201);
        let mallory = Session::of(&node.api, registered.data());
        Self { key: key.text_of("id"), node, alice, alices_session, other, mallory }
    }

    /// What names the other tenant.
    fn other(&self, name: &str) -> &str {
        self.other[name].as_str().expect("a text")
    }

    /// The endpoint's path with ids of the default tenant.
    fn path(&self, endpoint: &Endpoint) -> String {
        endpoint
            .path
            .replace("{userId}", &self.alice.id)
            .replace("{sessionId}", &self.alices_session)
            .replace("{keyId}", &self.key)
            .replace("{credentialId}", "cred_01jhmz5ajs9p9tbgc0n4d5x9xq")
    }

    fn request(&self, endpoint: &Endpoint) -> RequestBuilder {
        let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).expect("a method");
        let request = self.node.api.request(method, &self.path(endpoint));
        if endpoint.takes_body { request.json(&json!({})) } else { request }
    }

    /// Whether an answer says anything of the default tenant.
    fn tells(&self, answer: &Response) -> bool {
        let own = [&self.alice.id, &self.alice.email, &self.alices_session, &self.key];
        own.into_iter().any(|text| answer.text.contains(text.as_str()))
    }
}

/// Endpoints that a tenant's servers and users call, and that are no pages.
fn endpoints() -> impl Iterator<Item = Endpoint> {
    let of_tenants = |endpoint: &Endpoint| {
        matches!(endpoint.access, Access::Session | Access::Permission(_)) && !endpoint.is_page()
    };
    janua_http::api::endpoints().into_iter().filter(of_tenants)
}

#[tokio::test]
async fn another_tenants_credentials_reach_nothing() {
    let two = Two::new().await;
    let (mut named, mut listed) = (0, 0);
    for endpoint in endpoints() {
        let request = two.request(&endpoint);
        let answer = answer(match endpoint.access {
            Access::Permission(_) => request.header("X-API-Key", two.other("secretKey")),
            _ => request.bearer_auth(&two.mallory.access_token),
        });
        let answer = answer.await;
        assert!(!two.tells(&answer), "{} {}: {}", endpoint.method, endpoint.path, answer.text);
        let names_one = ["{userId}", "{sessionId}", "{keyId}"];
        if names_one.iter().any(|name| endpoint.path.contains(name)) {
            let expected = if endpoint.takes_body { &[400, 404][..] } else { &[404] };
            assert!(expected.contains(&answer.status), "{}: {}", endpoint.path, answer.text);
            named += 1;
        } else if answer.status == 200 {
            listed += 1;
        }
    }
    assert!(named >= 12 && listed >= 6, "{named} by their ids, {listed} answered");
    two.alice.session.is_alive().await;
    let node = &two.node;
    answer(node.server(Method::GET, &format!("/users/{}", two.alice.id))).await.is_yes(200);
    answer(node.server(Method::GET, &format!("/api-keys/{}", two.key))).await.is_yes(200);
}

#[tokio::test]
async fn two_tenants_in_one_request_are_one_too_many() {
    let two = Two::new().await;
    for endpoint in endpoints() {
        let request = || two.request(&endpoint);
        let (secret, token) = (&two.node.keys().secret, &two.alice.session.access_token);
        let mixed = [
            request().bearer_auth(token).header("X-API-Key", two.other("secretKey")),
            request().bearer_auth(token).header("X-Tenant-ID", two.other("id")),
            request().header("X-API-Key", secret).header("X-Tenant-ID", two.other("id")),
            request().bearer_auth(&two.mallory.access_token).header("X-API-Key", secret),
        ];
        for request in mixed {
            answer(request).await.is_no(403, "tenant_mismatch");
        }
    }
}

#[tokio::test]
async fn a_token_is_unknown_at_another_tenant() {
    let two = Two::new().await;
    let refresh = json!({ "refreshToken": two.alice.session.refresh_token });
    for path in ["/auth/refresh", "/auth/logout"] {
        for (name, value) in
            [("X-API-Key", two.other("publishableKey")), ("X-Tenant-ID", two.other("id"))]
        {
            let request = two.node.api.request(Method::POST, path).header(name, value);
            answer(request.json(&refresh)).await.is_no(401, "invalid_token");
        }
    }
    let login = two.node.api.request(Method::POST, "/auth/login");
    let login = login.header("X-API-Key", two.other("publishableKey"));
    let body = json!({ "email": two.alice.email, "password": two.alice.password });
    answer(login.json(&body)).await.is_no(401, "invalid_credentials");
    two.alice.session.refreshes().await.is_alive().await;
}
