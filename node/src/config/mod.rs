//! The configuration of a node: what `cluster.toml` documents, typed and checked.
//!
//! Every key is read in one line of `Config::read`, which is also what tells an unread key from a
//! read one. Nothing here starts or creates anything; files that keys name are read in `files` alone.

mod check;
pub mod files;
mod layers;
mod problem;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use janua_storage::version;
use serde::Serialize;

pub use self::check::warnings;
use self::layers::Layers;
pub use self::problem::Problem;
pub use self::values::{Limit, LogFormat, Number, OrOff, Secret, SigningAlgorithm, Span, WebUrl};

/// A size in bytes: 1 KiB to 1 TiB.
pub type Bytes = Number<1024, { 1 << 40 }>;

/// Declares the sections with their keys in one place: type, documentation, reading.
macro_rules! sections {
    ($($(#[$doc:meta])* $section:ident: $name:ident { $($key:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize)]
            pub struct $name { $(#[doc = concat!("`", stringify!($section), ".", stringify!($key), "`; documented in `cluster.toml`")] pub $key: $type,)* }
        )*

        /// Everything that can be configured.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct Config {
            $($(#[$doc])* pub $section: $name,)*
            /// The providers to sign in with.
            pub oauth: std::collections::BTreeMap<String, OauthProvider>,
        }

        impl Config {
            fn read(layers: &mut Layers) -> Self {
                Self {
                    $($section: $name {
                        $($key: layers.take(concat!(stringify!($section), ".", stringify!($key))),)*
                    },)*
                    oauth: layers.oauth_names().into_iter().map(|name| OauthProvider::read(layers, name)).collect(),
                }
            }
        }
    };
}

sections! {
    /// Who this node is.
    node: Node {
        name: String,
        data_dir: PathBuf,
    }
    /// The API's listener and its limits.
    http: Http {
        listen: SocketAddr,
        public_url: WebUrl,
        admin_listen: Option<SocketAddr>,
        trusted_proxies: Vec<IpNet>,
        tls_certificate: Option<PathBuf>,
        tls_key: Option<PathBuf>,
        max_body_bytes: Bytes,
        max_import_bytes: Bytes,
        max_header_bytes: Number<8192, 1_048_576>,
        max_headers: Number<16, 1024>,
        max_connections: Number<1, 1_000_000>,
        max_connections_per_address: Number<1, 1_000_000>,
        max_streams: Number<1, 10_000>,
        header_timeout: Span,
        body_timeout: Span,
        request_timeout: Span,
        import_timeout: Span,
        idle_timeout: Span,
        shutdown_timeout: Span,
    }
    /// The other nodes.
    cluster: Cluster {
        listen: SocketAddr,
        advertise: Option<String>,
        join: Vec<String>,
        secret: Option<Secret>,
        previous_secret: Option<Secret>,
        shards: Number<1, 1024>,
        replicas: Number<1, 5>,
        speak_as: Option<Number<1, { version::NEWEST as u64 }>>,
    }
    /// What is kept, and how.
    storage: Storage {
        cache_bytes: Bytes,
        snapshot_log_bytes: Bytes,
        key_file: Option<PathBuf>,
        key_secret: Option<Secret>,
        previous_key_file: Option<PathBuf>,
        previous_key_secret: Option<Secret>,
    }
    /// Whose requests they are.
    tenancy: Tenancy {
        default_tenant: Option<String>,
    }
    /// Keys of a cluster that is being founded.
    bootstrap: Bootstrap {
        publishable_key: Option<Secret>,
        secret_key: Option<Secret>,
        operator_token: Option<Secret>,
    }
    /// Access tokens and how long sessions live.
    tokens: Tokens {
        access_ttl: Span,
        session_ttl: Span,
        signing_algorithm: SigningAlgorithm,
    }
    /// How many sessions.
    sessions: Sessions {
        per_user: Number<1, 10_000>,
        live_actors: Number<1, 10_000_000>,
        fresh: Span,
    }
    /// Argon2id and who may use the cores for it.
    passwords: Passwords {
        memory_kib: Number<8, 4_194_304>,
        iterations: Number<1, 64>,
        parallelism: Number<1, 16>,
        breach_url: WebUrl,
    }
    /// Passkeys.
    webauthn: Webauthn {
        rp_id: String,
        rp_name: String,
        origins: Vec<WebUrl>,
    }
    /// Mails.
    mail: Mail {
        smtp_url: Option<Secret>,
        smtp_ca: Option<PathBuf>,
        from: String,
        link_base_url: Option<WebUrl>,
    }
    /// Webhooks.
    webhooks: Webhooks {
        allow_private_addresses: bool,
    }
    /// Where addresses are.
    geoip: Geoip {
        database: Option<PathBuf>,
    }
    /// How often.
    limits: Limits {
        authentication: OrOff<Limit>,
        password_reset: OrOff<Limit>,
        email_verification: OrOff<Limit>,
        magic_link: OrOff<Limit>,
        api: OrOff<Limit>,
        webhook_delivery: OrOff<Limit>,
        phone_verification: OrOff<Limit>,
    }
    /// What the node says of itself.
    log: Log {
        format: LogFormat,
        level: String,
    }
}

/// A provider to sign in with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OauthProvider {
    /// Given by the provider.
    pub client_id: Option<String>,
    /// Given by the provider.
    pub client_secret: Option<Secret>,
    /// Found by OpenID Connect discovery.
    pub issuer: Option<WebUrl>,
    /// Where a GitHub Enterprise Server or another Microsoft cloud is.
    pub base_url: Option<WebUrl>,
    /// Where the provider may send the browser back to.
    pub redirect_uris: Vec<WebUrl>,
}

impl OauthProvider {
    fn read(layers: &mut Layers, name: String) -> (String, Self) {
        let key = |key: &str| format!("oauth.{name}.{key}");
        let provider = Self {
            client_id: layers.take(&key("client_id")),
            client_secret: layers.take(&key("client_secret")),
            issuer: layers.take(&key("issuer")),
            base_url: layers.take(&key("base_url")),
            redirect_uris: layers.take(&key("redirect_uris")),
        };
        (name, provider)
    }
}

/// The values of a command line that beat everything else: flag, key, value.
pub type Flags = Vec<(String, String, String)>;

/// Reads and checks the configuration; every problem is reported, not just the first.
pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Config, Vec<Problem>> {
    let (config, layers) = read(file, environment(), flags);
    verdict(config, layers)
}

/// The same for a node that is to serve by it, with the files that it names.
pub fn load_to_serve(file: Option<&Path>, flags: &Flags) -> Result<Config, Vec<Problem>> {
    let (config, mut layers) = read(file, environment(), flags);
    files::check(&config, &mut layers);
    verdict(config, layers)
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn read(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Flags,
) -> (Config, Layers) {
    let mut layers = Layers::new();
    if let Some(file) = file {
        layers.add_file(file);
    }
    layers.add_environment(environment);
    for (flag, key, value) in flags {
        layers.add_flag(flag, key, value);
    }
    let config = Config::read(&mut layers);
    check::together(&config, &mut layers);
    (config, layers)
}

fn verdict(config: Config, layers: Layers) -> Result<Config, Vec<Problem>> {
    let problems = layers.into_problems();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
