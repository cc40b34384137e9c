//! The configuration in the words of each floor.

use std::num::TryFromIntError;

use janua_actors::capability::tenants::Bootstrap;
use janua_actors::directory;
use janua_actors::hashing::Cost;
use janua_actors::settings::{self, AlgorithmName};
use janua_http::limits::rate::Rate;
use janua_http::settings::{Connections, Rates, Settings, Sizes, Timeouts, TlsFiles};
use janua_storage::engine;
use janua_storage::ids::TenantId;
use janua_storage::secret::Secret;

use crate::config::{Config, Limit, OrOff, SigningAlgorithm};
use crate::failure::Failure;

/// What storage is opened with.
pub fn storage(config: &Config) -> Result<engine::Options, Failure> {
    Ok(engine::Options {
        shards: number(config.cluster.shards.0)?,
        cache_bytes: config.storage.cache_bytes.0,
        snapshot_log_bytes: config.storage.snapshot_log_bytes.0,
        ..engine::Options::new(&config.node.data_dir)
    })
}

/// What actors are started with.
pub fn actors(config: &Config) -> Result<directory::Options, Failure> {
    Ok(directory::Options {
        defaults: tenant_defaults(config),
        cost: Cost {
            memory_kib: number(config.passwords.memory_kib.0)?,
            iterations: number(config.passwords.iterations.0)?,
            parallelism: number(config.passwords.parallelism.0)?,
        },
        issuer: config.http.public_url.as_str().into(),
        sessions_per_user: number(config.sessions.per_user.0)?,
        live_sessions: number(config.sessions.live_actors.0)?,
        ..directory::Options::default()
    })
}

fn tenant_defaults(config: &Config) -> settings::Settings {
    let mut defaults = settings::Settings::default();
    defaults.tokens.access_ttl = config.tokens.access_ttl.0.as_secs();
    defaults.tokens.session_ttl = config.tokens.session_ttl.0.as_secs();
    defaults.tokens.signing_algorithm = match config.tokens.signing_algorithm {
        SigningAlgorithm::Es256 => AlgorithmName::ES256,
        SigningAlgorithm::EdDsa => AlgorithmName::EdDSA,
        SigningAlgorithm::Rs256 => AlgorithmName::RS256,
        SigningAlgorithm::Hs256 => AlgorithmName::HS256,
    };
    let webauthn = &config.webauthn;
    defaults.webauthn.rp_id = webauthn.rp_id.clone();
    defaults.webauthn.rp_name = webauthn.rp_name.clone();
    defaults.webauthn.origins =
        webauthn.origins.iter().map(|origin| origin.as_str().into()).collect();
    defaults.mail.from = config.mail.from.clone();
    defaults
}

/// The secrets that a new cluster takes instead of drawing its own.
pub fn bootstrap(config: &Config) -> Bootstrap {
    let given = |secret: &Option<crate::config::Secret>| {
        secret.as_ref().map(|secret| Secret::given(secret.expose()))
    };
    Bootstrap {
        publishable_key: given(&config.bootstrap.publishable_key),
        secret_key: given(&config.bootstrap.secret_key),
        operator_token: given(&config.bootstrap.operator_token),
    }
}

/// What the HTTP floor is started with.
pub fn http(config: &Config) -> Result<Settings, Failure> {
    let http = &config.http;
    let tls = http.tls_certificate.clone().zip(http.tls_key.clone());
    let tenant = config.tenancy.default_tenant.as_deref();
    let no_tenant = |_| Failure::Start("tenancy.default_tenant is no tenant's id".into());
    Ok(Settings {
        public_url: http.public_url.as_str().into(),
        node_name: config.node.name.clone(),
        default_tenant: tenant.map(|id| id.parse::<TenantId>()).transpose().map_err(no_tenant)?,
        separate_admin: http.admin_listen.is_some(),
        trusted_proxies: http.trusted_proxies.clone(),
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        rates: Rates {
            authentication: rate(config.limits.authentication),
            api: rate(config.limits.api),
        },
        sizes: Sizes {
            body: number(http.max_body_bytes.0)?,
            head: number(http.max_header_bytes.0)?,
            headers: number(http.max_headers.0)?,
        },
        timeouts: Timeouts {
            head: http.header_timeout.0,
            body: http.body_timeout.0,
            request: http.request_timeout.0,
            idle: http.idle_timeout.0,
            drain: http.shutdown_timeout.0,
            ..Timeouts::default()
        },
        connections: Connections {
            total: number(http.max_connections.0)?,
            per_address: number(http.max_connections_per_address.0)?,
            streams: number(http.max_streams.0)?,
        },
    })
}

fn rate(limit: OrOff<Limit>) -> Rate {
    match limit {
        OrOff::On(limit) => Rate::new(limit.count, limit.per),
        OrOff::Off => Rate::OFF,
    }
}

/// Bounds of the configuration keep this from failing on machines that we build for.
fn number<T: TryFrom<u64, Error = TryFromIntError>>(value: u64) -> Result<T, Failure> {
    T::try_from(value).map_err(|_| Failure::Start(format!("{value} is more than this machine can count")))
}
