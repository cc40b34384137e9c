//! Permissions: `resource:action`, and the wildcards `resource:*` and `*`. What holds them today is a
//! secret key, by its scopes; roles hold them in the same form.

/// The permissions of a new tenant.
pub const CATALOGUE: [&str; 28] = [
    "users:read",
    "users:write",
    "users:delete",
    "organizations:read",
    "organizations:write",
    "organizations:delete",
    "members:read",
    "members:write",
    "invites:read",
    "invites:write",
    "roles:read",
    "roles:write",
    "settings:read",
    "settings:write",
    "billing:read",
    "billing:write",
    "webhooks:read",
    "webhooks:write",
    "api_keys:read",
    "api_keys:write",
    "audit:read",
    "scim:read",
    "scim:write",
    "content:read",
    "content:write",
    "analytics:read",
    "campaigns:read",
    "campaigns:write",
];

/// Whether whoever holds `held` may do what `wanted` names; both may be wildcards.
pub fn covers(held: &str, wanted: &str) -> bool {
    held == "*"
        || held == wanted
        || held.strip_suffix('*').is_some_and(|resource| {
            resource.ends_with(':') && wanted.len() > resource.len() && wanted.starts_with(resource)
        })
}

/// Whether `text` is a permission of the catalogue, or a wildcard over some of it.
pub fn is_known(text: &str) -> bool {
    CATALOGUE.iter().any(|known| *known == text || covers(text, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_its_resource_and_nothing_else() {
        for (held, wanted) in [
            ("*", "users:read"),
            ("*", "users:*"),
            ("users:*", "users:read"),
            ("users:*", "users:*"),
            ("users:read", "users:read"),
        ] {
            assert!(covers(held, wanted), "{held} {wanted}");
        }
        for (held, wanted) in [
            ("users:read", "users:write"),
            ("users:read", "users:*"),
            ("users:*", "*"),
            ("user*", "users:read"),
            ("u:*", "users:read"),
            ("users:*", "users:"),
            ("", "users:read"),
        ] {
            assert!(!covers(held, wanted), "{held} {wanted}");
        }
    }

    #[test]
    fn what_is_in_no_catalogue_is_unknown() {
        assert!(is_known("*") && is_known("users:*") && is_known("audit:read"));
        for text in ["", "users", "users:", "root:*", "users:admin", "**", ":*"] {
            assert!(!is_known(text), "{text}");
        }
    }
}
