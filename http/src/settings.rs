//! Everything that an operator may choose about this floor, in one struct. `Default` is what ships;
//! the program fills it from its configuration.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use janua_storage::ids::TenantId;

use crate::limits::rate::Rate;

/// The settings of the HTTP floor.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What clients see before the path, without a trailing slash.
    pub public_url: String,
    /// The name of this node, sent as `X-Janua-Node`.
    pub node_name: String,
    /// The tenant of a request that names none; without one, every request must name its tenant.
    pub default_tenant: Option<TenantId>,
    /// Whether `/admin/*` and `/metrics` are served by a listener of their own.
    pub separate_admin: bool,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Certificate and key; without them the listener speaks plain text.
    pub tls: Option<TlsFiles>,
    /// How often clients may call.
    pub rates: Rates,
    /// How large a request may be.
    pub sizes: Sizes,
    /// How slow a request may be.
    pub timeouts: Timeouts,
    /// How many connections there may be.
    pub connections: Connections,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: "http://localhost:3000".into(),
            node_name: "node-1".into(),
            default_tenant: Some(TenantId::default_tenant()),
            separate_admin: false,
            trusted_proxies: Vec::new(),
            tls: None,
            rates: Rates::default(),
            sizes: Sizes::default(),
            timeouts: Timeouts::default(),
            connections: Connections::default(),
        }
    }
}

impl Settings {
    /// Whether browsers reach this server through TLS, by us or by a proxy in front.
    pub fn is_https(&self) -> bool {
        self.tls.is_some() || self.public_url.starts_with("https://")
    }
}

/// A certificate chain and its private key, both PEM, read again when they change.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key of the leaf.
    pub key: PathBuf,
}

/// The rate of each bucket.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Endpoints that test a credential, by client address.
    pub authentication: Rate,
    /// All others, by API key, session or address.
    pub api: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            authentication: Rate::new(10, Duration::from_secs(60)),
            api: Rate::new(1000, Duration::from_secs(3600)),
        }
    }
}

/// How large a request may be.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// The body, in bytes.
    pub body: usize,
    /// A body of lines, which is never whole in memory, in bytes.
    pub import: u64,
    /// Request line and headers together, in bytes.
    pub head: usize,
    /// The number of headers.
    pub headers: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { body: 1024 * 1024, import: 256 * 1024 * 1024, head: 16 * 1024, headers: 64 }
    }
}

/// How slow a request may be.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// From a connection's first byte wanted to the end of a request's head; the TLS handshake too.
    pub head: Duration,
    /// For the whole body to arrive.
    pub body: Duration,
    /// From the head to the answer; more than the body may take, or a late body looks like a late
    /// server.
    pub request: Duration,
    /// The same, where the body is one of lines.
    pub import: Duration,
    /// How long a connection may stay without a request.
    pub idle: Duration,
    /// How long requests in flight may take once the server stops.
    pub drain: Duration,
    /// How often certificate and key are looked at for a change.
    pub tls_reload: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            request: Duration::from_secs(15),
            import: Duration::from_secs(600),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(15),
            tls_reload: Duration::from_secs(5),
        }
    }
}

/// How many connections there may be.
#[derive(Debug, Clone)]
pub struct Connections {
    /// In all.
    pub total: usize,
    /// From one address (IPv6: one /64); trusted proxies are exempt.
    pub per_address: u32,
    /// Concurrent HTTP/2 streams of one connection.
    pub streams: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self { total: 10_000, per_address: 1_024, streams: 128 }
    }
}
