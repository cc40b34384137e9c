//! The reference and the declarations speak of the same endpoints.

use std::collections::BTreeSet;

use janua_tests::reference;

/// The endpoints of this version, as the reference and its completion name them.
const SERVED: &[(&str, &str)] = &[
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/logout"),
    ("GET", "/users/me"),
    ("PUT", "/users/me"),
    ("DELETE", "/users/me"),
    ("POST", "/users/me/change-password"),
    ("GET", "/users"),
    ("POST", "/users"),
    ("POST", "/users/import"),
    ("GET", "/users/{userId}"),
    ("PATCH", "/users/{userId}"),
    ("DELETE", "/users/{userId}"),
    ("POST", "/users/{userId}/suspend"),
    ("POST", "/users/{userId}/reactivate"),
    ("POST", "/users/{userId}/unlock"),
    ("GET", "/users/{userId}/sessions"),
    ("DELETE", "/users/{userId}/sessions"),
    ("GET", "/users/me/export"),
    ("POST", "/users/me/verify-phone/send"),
    ("POST", "/users/me/verify-phone/confirm"),
    ("POST", "/users/me/verify-email/send"),
    ("POST", "/users/me/verify-email/confirm"),
    ("POST", "/auth/verify-email"),
    ("POST", "/auth/password/forgot"),
    ("POST", "/auth/password/reset"),
    ("POST", "/auth/magic-link/send"),
    ("GET", "/auth/magic-link/verify"),
    ("POST", "/auth/magic-link/verify"),
    ("GET", "/admin/outbox"),
    ("POST", "/auth/login/mfa"),
    ("GET", "/users/me/mfa"),
    ("POST", "/users/me/mfa/totp/enroll"),
    ("POST", "/users/me/mfa/totp/verify"),
    ("DELETE", "/users/me/mfa/totp"),
    ("POST", "/users/me/mfa/backup-codes"),
    ("POST", "/users/me/mfa/step-up"),
    ("POST", "/auth/passkeys/register/begin"),
    ("POST", "/auth/passkeys/register/complete"),
    ("POST", "/auth/passkeys/authenticate/begin"),
    ("POST", "/auth/passkeys/authenticate/complete"),
    ("GET", "/passkeys"),
    ("PATCH", "/passkeys/{credentialId}"),
    ("DELETE", "/passkeys/{credentialId}"),
    ("GET", "/auth/oauth/providers"),
    ("GET", "/auth/oauth/{provider}"),
    ("POST", "/auth/oauth/{provider}/callback"),
    ("GET", "/sessions"),
    ("DELETE", "/sessions"),
    ("DELETE", "/sessions/{sessionId}"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/tenants/{tenantId}/.well-known/jwks.json"),
    ("GET", "/admin/cluster"),
    ("PATCH", "/admin/cluster"),
    ("DELETE", "/admin/cluster/nodes/{id}"),
    ("POST", "/admin/cluster/rebalance"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/openapi.yaml"),
    ("GET", "/postman/collection.json"),
    ("GET", "/docs"),
    ("GET", "/docs/{file}"),
    ("GET", "/admin/tenants"),
    ("POST", "/admin/tenants"),
    ("GET", "/admin/tenants/{tenantId}"),
    ("PATCH", "/admin/tenants/{tenantId}"),
    ("DELETE", "/admin/tenants/{tenantId}"),
    ("GET", "/api-keys"),
    ("POST", "/api-keys"),
    ("GET", "/api-keys/{keyId}"),
    ("PATCH", "/api-keys/{keyId}"),
    ("DELETE", "/api-keys/{keyId}"),
    ("POST", "/api-keys/{keyId}/rotate"),
];

/// Methods and paths, the names of parameters left aside.
fn declared() -> BTreeSet<(String, String)> {
    let endpoints = janua_http::api::endpoints();
    endpoints
        .iter()
        .map(|endpoint| (endpoint.method.to_string(), nameless(endpoint.path)))
        .collect()
}

fn nameless(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_endpoint_of_this_version_is_declared() {
    let declared = declared();
    let missing = SERVED
        .iter()
        .filter(|(method, path)| !declared.contains(&((*method).into(), nameless(path))));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_endpoint_is_declared_twice() {
    assert_eq!(declared().len(), janua_http::api::endpoints().len());
}

#[test]
fn the_reference_is_read_whole() {
    let sections = reference::sections();
    assert!(sections.len() >= 35, "{}", sections.len());
    let register = sections.iter().find(|section| section.path == "/auth/register").unwrap();
    assert_eq!(register.request.as_ref().unwrap()["email"], "user@example.com");
    assert_eq!(register.response.as_ref().unwrap().0, 201);
}
