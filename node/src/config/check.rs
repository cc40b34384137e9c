//! What no single value can tell: keys that need each other, texts with a form of their own, and
//! what start-up should warn about.

use std::fs::File;

use janua_actors::mail::{Relay, is_sender};
use janua_actors::redirect::is_listable;
use janua_storage::ids::TenantId;
use tracing_subscriber::EnvFilter;

use super::layers::Layers;
use super::{Config, Secret, WebUrl};

/// The shortest secret that is taken, in characters.
const SECRET_LENGTH: usize = 32;

/// What a directive of `log.level` may be that names no target.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// In seconds.
const DAY: u64 = 24 * 3600;

/// Remembers every problem that shows only when keys are seen together.
pub fn together(config: &Config, layers: &mut Layers) {
    http(config, layers);
    cluster(config, layers);
    secrets(config, layers);
    tokens_and_passwords(config, layers);
    mail_and_passkeys(config, layers);
    oauth(config, layers);
    layers.require(
        is_level(&config.log.level),
        "log.level",
        "must be off, error, warn, info, debug, trace, or directives such as info,janua_http=debug",
    );
}

fn http(config: &Config, layers: &mut Layers) {
    let http = &config.http;
    let both = http.tls_certificate.is_some() == http.tls_key.is_some();
    let given = if http.tls_key.is_none() { "http.tls_certificate" } else { "http.tls_key" };
    layers.require(both, given, "http.tls_certificate and http.tls_key must be given together");
    let apart = http.admin_listen.is_none_or(|admin| admin != http.listen || admin.port() == 0);
    layers.require(
        apart,
        "http.admin_listen",
        "must differ from http.listen, or be empty to share it",
    );
    // A body that is late would else be answered as a server that is late, whichever comes first.
    let ordered = http.body_timeout < http.request_timeout;
    layers.require(ordered, "http.body_timeout", "must be shorter than http.request_timeout");
}

fn cluster(config: &Config, layers: &mut Layers) {
    let cluster = &config.cluster;
    let odd = cluster.replicas.0 % 2 == 1;
    layers.require(odd, "cluster.replicas", "must be 1, 3 or 5");
    let advertise = cluster.advertise.as_deref().is_none_or(is_host_and_port);
    layers.require(
        advertise,
        "cluster.advertise",
        "must be a host and a port, such as node-1.internal:7000, or empty",
    );
    let reachable = cluster.advertise.is_some() || !cluster.listen.ip().is_unspecified();
    layers.require(
        reachable || cluster.join.is_empty(),
        "cluster.advertise",
        "must be given when cluster.listen is on all addresses, so that other nodes know where to connect",
    );
    let join = cluster.join.iter().all(|member| is_host_and_port(member));
    layers.require(
        join,
        "cluster.join",
        "must be a list, each a host and a port, such as node-1.internal:7000",
    );
    let name = is_plain(&config.node.name, b"-_.") && config.node.name.len() <= 64;
    layers.require(
        name,
        "node.name",
        "must be at most 64 letters, digits, dots, dashes and underscores",
    );
    let tenant =
        config.tenancy.default_tenant.as_deref().is_none_or(|id| id.parse::<TenantId>().is_ok());
    layers.require(
        tenant,
        "tenancy.default_tenant",
        "must be a tenant's id: lower-case letters, digits, `_` and `-`, at most 64, such as default; or empty",
    );
}

fn secrets(config: &Config, layers: &mut Layers) {
    let bootstrap = &config.bootstrap;
    for (key, prefix, secret) in [
        ("bootstrap.publishable_key", "jpk_", &bootstrap.publishable_key),
        ("bootstrap.secret_key", "jsk_", &bootstrap.secret_key),
        ("bootstrap.operator_token", "jop_", &bootstrap.operator_token),
        ("cluster.secret", "", &config.cluster.secret),
        ("cluster.previous_secret", "", &config.cluster.previous_secret),
        ("storage.key_secret", "", &config.storage.key_secret),
        ("storage.previous_key_secret", "", &config.storage.previous_key_secret),
    ] {
        let good = secret.as_ref().is_none_or(|secret| is_secret(secret, prefix));
        let beginning =
            if prefix.is_empty() { String::new() } else { format!("begin with {prefix} and ") };
        layers.require(good, key, format!("must {beginning}have at least {SECRET_LENGTH} characters, none of them blank, or be empty"));
    }
    let one = config.storage.key_file.is_none() || config.storage.key_secret.is_none();
    layers.require(
        one,
        "storage.key_file",
        "only one of storage.key_file and storage.key_secret may be given",
    );
    let storage = &config.storage;
    let one = storage.previous_key_file.is_none() || storage.previous_key_secret.is_none();
    layers.require(
        one,
        "storage.previous_key_file",
        "only one of storage.previous_key_file and storage.previous_key_secret may be given",
    );
}

fn tokens_and_passwords(config: &Config, layers: &mut Layers) {
    let tokens = &config.tokens;
    for (key, span, most, text) in [
        ("tokens.access_ttl", tokens.access_ttl, DAY, "from 10s to 1d"),
        ("tokens.session_ttl", tokens.session_ttl, 366 * DAY, "from 10s to 366d"),
    ] {
        let good = (10..=most).contains(&span.0.as_secs());
        layers.require(good, key, format!("must be {text}"));
    }
    let ordered = tokens.access_ttl <= tokens.session_ttl;
    layers.require(ordered, "tokens.access_ttl", "must not be longer than tokens.session_ttl");
    let passwords = &config.passwords;
    let enough = passwords.memory_kib.0 >= 8 * passwords.parallelism.0;
    layers.require(
        enough,
        "passwords.memory_kib",
        "must be at least 8 times passwords.parallelism",
    );
}

fn mail_and_passkeys(config: &Config, layers: &mut Layers) {
    if let Some(Err(problem)) =
        config.mail.smtp_url.as_ref().map(|url| Relay::new(url.expose(), None))
    {
        layers.require(
            false,
            "mail.smtp_url",
            format!("must be smtp:// or smtps:// with a host, or empty, but {problem}"),
        );
    }
    layers.require(
        is_sender(&config.mail.from),
        "mail.from",
        "must be an address, or a name and an address such as Janua <no-reply@example.com>",
    );
    let rp_id = &config.webauthn.rp_id;
    let below =
        |origin: &WebUrl| origin.host() == *rp_id || origin.host().ends_with(&format!(".{rp_id}"));
    let origins = !config.webauthn.origins.is_empty() && config.webauthn.origins.iter().all(below);
    layers.require(
        origins,
        "webauthn.origins",
        format!("must name at least one origin, each at {rp_id} (webauthn.rp_id) or below it"),
    );
}

fn oauth(config: &Config, layers: &mut Layers) {
    for (name, provider) in &config.oauth {
        let key = |key: &str| format!("oauth.{name}.{key}");
        layers.require(
            is_plain(name, b"-_"),
            &format!("oauth.{name}"),
            "the name must be letters, digits, dashes and underscores",
        );
        layers.require(provider.client_id.is_some(), &key("client_id"), "must be given");
        layers.require(provider.client_secret.is_some(), &key("client_secret"), "must be given");
        let known = matches!(name.as_str(), "google" | "github" | "microsoft");
        layers.require(
            known || provider.issuer.is_some(),
            &key("issuer"),
            "must be given for every provider but google, github and microsoft",
        );
        let own = matches!(name.as_str(), "github" | "microsoft") && provider.issuer.is_none();
        layers.require(
            own || provider.base_url.is_none(),
            &key("base_url"),
            "may be given for github and microsoft only, and not beside an issuer",
        );
        let listable = |uri: &WebUrl| is_listable(uri.as_str());
        layers.require(
            provider.redirect_uris.iter().all(listable),
            &key("redirect_uris"),
            "must be https, or http for loopback",
        );
    }
}

/// A word that is no level would be taken for a target: it silences all others.
fn is_level(text: &str) -> bool {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    text.split(',').all(|directive| directive.contains('=') || is_level(directive))
        && EnvFilter::builder().parse(text).is_ok()
}

fn is_secret(secret: &Secret, prefix: &str) -> bool {
    let text = secret.expose();
    text.starts_with(prefix)
        && text.chars().count() >= SECRET_LENGTH
        && !text.contains(char::is_whitespace)
}

fn is_host_and_port(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_plain(text: &str, also: &[u8]) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
}

/// What is allowed but should be known before the node serves.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(tenant) = &config.tenancy.default_tenant
        && !config.http.public_url.is_loopback()
    {
        let url = config.http.public_url.as_str();
        warnings.push(format!("requests without a key are accepted, as the tenant {tenant}'s, although {url} is no loopback address: empty tenancy.default_tenant to refuse them"));
    }
    if config.storage.key_file.is_none() && config.storage.key_secret.is_none() {
        let folder = config.node.data_dir.display();
        warnings.push(format!("the cluster key lies in the data folder ({folder}): whoever copies the folder can read every sealed secret; set storage.key_file or storage.key_secret to wrap it"));
    }
    if config.mail.smtp_url.is_none() && !config.http.public_url.is_loopback() {
        warnings.push("no mail is sent: mails are kept for GET /admin/outbox until mail.smtp_url names a server".into());
    }
    if let Some(file) = &config.geoip.database
        && let Err(error) = File::open(file)
    {
        let file = file.display();
        warnings.push(format!(
            "sessions tell no location until geoip.database ({file}) can be read: {error}"
        ));
    }
    warnings
}
