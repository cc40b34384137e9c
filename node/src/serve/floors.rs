//! The configuration, as each floor wants it.

use janua_actors::directory::{MailLimits, Options as Actors};
use janua_actors::hashing::Cost;
use janua_actors::mail::{self, Relay};
use janua_actors::settings::{AlgorithmName, Mail, Settings, Tokens, Webauthn};
use janua_actors::upstream::Configured;
use janua_http::limits::rate::Rate;
use janua_http::settings::{Connections, Rates, Settings as Http, Sizes, Timeouts, TlsFiles};
use janua_storage::capability::cluster::FOUNDER;
use janua_storage::capability::limits::{Bucket, Limit as PerAddress};
use janua_storage::capability::phones::Allowance;
use janua_storage::engine::Options as Storage;
use janua_storage::membership::home::Home;
use janua_storage::seal::{Key, mac};
use janua_storage::secret::Secret;
use janua_storage::version;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

use super::start;
use crate::config::files::key_material;
use crate::config::{self, Config, Limit, Number, OrOff, SigningAlgorithm, WebUrl};
use crate::failure::Failure;

/// What wraps the cluster's key, if anything does.
pub fn wrapping_key(config: &Config) -> Result<Option<Key>, Failure> {
    let storage = &config.storage;
    wrapping("key", storage.key_file.as_deref(), storage.key_secret.as_ref())
}

/// What wrapped it before, if that is given.
pub fn previous_wrapping_key(config: &Config) -> Result<Option<Key>, Failure> {
    let storage = &config.storage;
    let (file, secret) = (&storage.previous_key_file, &storage.previous_key_secret);
    wrapping("previous_key", file.as_deref(), secret.as_ref())
}

fn wrapping(
    name: &str,
    file: Option<&Path>,
    secret: Option<&config::Secret>,
) -> Result<Option<Key>, Failure> {
    let material = match (file, secret) {
        (Some(file), _) => key_material(file)
            .map_err(|problem| start(format!("storage.{name}_file: {problem}")))?,
        (None, Some(secret)) => Zeroizing::new(secret.expose().as_bytes().to_vec()),
        (None, None) => return Ok(None),
    };
    Ok(Some(Key::new(mac(&material, b"janua wrapping key"))))
}

/// Where state lies, on a node whose folder says `home`; one that says nothing founds.
pub fn storage(config: &Config, home: Option<&Home>) -> Storage {
    let joined = home.filter(|_| !config.cluster.join.is_empty());
    Storage {
        node: home.map_or(FOUNDER, |home| home.node),
        founds: home.is_none(),
        speaks: speaks(config),
        agreed: home.map_or(version::OLDEST, |home| home.agreed),
        // Whoever joins takes what the cluster has.
        shards: joined.map_or_else(|| narrow(config.cluster.shards), |home| home.shards),
        cache_bytes: config.storage.cache_bytes.0,
        snapshot_log_bytes: config.storage.snapshot_log_bytes.0,
        ..Storage::new(&config.node.data_dir)
    }
}

/// The newest version of commands and records that the node speaks.
pub fn speaks(config: &Config) -> u16 {
    config.cluster.speak_as.map_or(version::NEWEST, narrow)
}

/// How many replicas each shard wants, as long as that is not on record.
pub fn replicas(config: &Config) -> usize {
    narrow(config.cluster.replicas)
}

/// How actors decide.
pub fn actors(config: &Config) -> Result<Actors, Failure> {
    let tokens = &config.tokens;
    let webauthn = &config.webauthn;
    let defaults = Settings {
        tokens: Tokens {
            access_ttl: tokens.access_ttl.0.as_secs(),
            session_ttl: tokens.session_ttl.0.as_secs(),
            sliding_session: false,
            signing_algorithm: algorithm(tokens.signing_algorithm),
        },
        webauthn: Webauthn {
            rp_id: webauthn.rp_id.clone(),
            rp_name: webauthn.rp_name.clone(),
            origins: webauthn.origins.iter().map(|origin| origin.as_str().into()).collect(),
        },
        mail: Mail { from: config.mail.from.clone(), ..Mail::default() },
        ..Settings::default()
    };
    Ok(Actors {
        defaults,
        cost: Cost {
            memory_kib: narrow(config.passwords.memory_kib),
            iterations: narrow(config.passwords.iterations),
            parallelism: narrow(config.passwords.parallelism),
        },
        breaches: config.passwords.breach_url.as_str().into(),
        issuer: config.http.public_url.as_str().into(),
        providers: providers(config),
        sessions_per_user: narrow(config.sessions.per_user),
        live_sessions: narrow(config.sessions.live_actors),
        fresh_for: config.sessions.fresh.0,
        allow_private_addresses: config.webhooks.allow_private_addresses,
        phone_allowance: allowance(config.limits.phone_verification),
        geoip: config.geoip.database.clone(),
        mail: mail(config)?,
        mail_limits: mail_limits(&config.limits),
        ..Actors::default()
    })
}

/// How mail leaves.
fn mail(config: &Config) -> Result<mail::Options, Failure> {
    let config::Mail { smtp_url, smtp_ca, link_base_url, .. } = &config.mail;
    let authority = smtp_ca.as_ref().map(|path| {
        std::fs::read(path).map_err(|error| {
            start(format!("mail.smtp_ca {} cannot be read: {error}", path.display()))
        })
    });
    let authority = authority.transpose()?;
    let relay = smtp_url.as_ref().map(|url| Relay::new(url.expose(), authority.as_deref()));
    let relay = relay
        .transpose()
        .map_err(|error| start(format!("mail.smtp_url, mail.smtp_ca: {error}")))?;
    let public_url = &config.http.public_url;
    Ok(mail::Options {
        logs_links: relay.is_none() && public_url.is_loopback(),
        relay,
        link_base_url: link_base_url.as_ref().unwrap_or(public_url).as_str().into(),
    })
}

/// How many mails of a kind an address gets.
fn mail_limits(limits: &config::Limits) -> MailLimits {
    let of = |bucket, limit: OrOff<Limit>| match limit {
        OrOff::On(limit) => PerAddress { bucket, count: limit.count, window: limit.per },
        OrOff::Off => PerAddress { bucket, count: 0, window: Duration::ZERO },
    };
    MailLimits {
        password_reset: of(Bucket::PasswordReset, limits.password_reset),
        email_verification: of(Bucket::EmailVerification, limits.email_verification),
        magic_link: of(Bucket::MagicLink, limits.magic_link),
        registration: of(Bucket::Registration, limits.email_verification),
    }
}

/// Who vouches for users.
fn providers(config: &Config) -> BTreeMap<String, Configured> {
    let text = |url: &WebUrl| url.as_str().to_owned();
    let configured = config.oauth.iter().map(|(name, provider)| {
        let configured = Configured {
            client_id: provider.client_id.clone().unwrap_or_default(),
            client_secret: secret(provider.client_secret.as_ref()),
            issuer: provider.issuer.as_ref().map(text),
            base_url: provider.base_url.as_ref().map(text),
            redirect_uris: provider.redirect_uris.iter().map(text).collect(),
        };
        (name.clone(), configured)
    });
    configured.collect()
}

/// How clients are met.
pub fn http(config: &Config) -> Result<Http, Failure> {
    let http = &config.http;
    let default_tenant = config.tenancy.default_tenant.as_deref().map(str::parse).transpose();
    let default_tenant =
        default_tenant.map_err(|_| start("tenancy.default_tenant is not the id of a tenant"))?;
    let tls = match (&http.tls_certificate, &http.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
        }
        _ => None,
    };
    Ok(Http {
        public_url: http.public_url.as_str().into(),
        node_name: config.node.name.clone(),
        default_tenant,
        separate_admin: http.admin_listen.is_some(),
        trusted_proxies: http.trusted_proxies.clone(),
        tls,
        rates: Rates {
            authentication: rate(config.limits.authentication),
            api: rate(config.limits.api),
        },
        sizes: Sizes {
            body: narrow(http.max_body_bytes),
            import: http.max_import_bytes.0,
            head: narrow(http.max_header_bytes),
            headers: narrow(http.max_headers),
        },
        timeouts: Timeouts {
            head: http.header_timeout.0,
            body: http.body_timeout.0,
            request: http.request_timeout.0,
            import: http.import_timeout.0,
            idle: http.idle_timeout.0,
            drain: http.shutdown_timeout.0,
            ..Timeouts::default()
        },
        connections: Connections {
            total: narrow(http.max_connections),
            per_address: narrow(http.max_connections_per_address),
            streams: narrow(http.max_streams),
        },
    })
}

/// A secret of the configuration as the other floors hold it.
pub fn secret(configured: Option<&config::Secret>) -> Option<Secret> {
    configured.map(|secret| Secret::given(secret.expose()))
}

fn allowance(limit: OrOff<Limit>) -> Allowance {
    match limit {
        OrOff::On(limit) => {
            let window_ms = u64::try_from(limit.per.as_millis()).unwrap_or(u64::MAX);
            Allowance { most: limit.count, window_ms }
        }
        OrOff::Off => Allowance { most: 0, window_ms: 0 },
    }
}

fn rate(limit: OrOff<Limit>) -> Rate {
    match limit {
        OrOff::On(limit) => Rate::new(limit.count, limit.per),
        OrOff::Off => Rate::OFF,
    }
}

const fn algorithm(name: SigningAlgorithm) -> AlgorithmName {
    match name {
        SigningAlgorithm::Es256 => AlgorithmName::ES256,
        SigningAlgorithm::EdDsa => AlgorithmName::EdDSA,
        SigningAlgorithm::Rs256 => AlgorithmName::RS256,
        SigningAlgorithm::Hs256 => AlgorithmName::HS256,
    }
}

/// Bounds are checked where the configuration is read; what is still too large is as large as fits.
fn narrow<const MIN: u64, const MAX: u64, T: TryFrom<u64> + Bounded>(
    number: Number<MIN, MAX>,
) -> T {
    T::try_from(number.0).unwrap_or(T::MOST)
}

trait Bounded {
    const MOST: Self;
}

impl Bounded for u16 {
    const MOST: Self = Self::MAX;
}

impl Bounded for u32 {
    const MOST: Self = Self::MAX;
}

impl Bounded for usize {
    const MOST: Self = Self::MAX;
}
