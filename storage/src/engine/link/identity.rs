//! Who may speak at the cluster's port: whoever knows the cluster's secret, and nobody else.
//!
//! The key of a certificate authority is derived from the secret, so every node can issue itself a
//! certificate that all others believe, and nothing has to be handed around or kept. Both ends of a
//! connection show theirs (TLS 1.3, RFC 8446 §4.3.2). It is good for a month, and made anew long before;
//! while one secret takes the place of another, certificates of either are believed.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer};
use rcgen::{KeyPair, KeyUsagePurpose, PKCS_ED25519};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::moment::Moment;
use crate::seal::mac;
use crate::secret::Secret;

/// The protocol that this program speaks between nodes.
pub const PROTOCOL: u16 = 1;
/// The protocols that it understands, newest first: its own and the one before.
pub const UNDERSTOOD: &[u16] = &[PROTOCOL];

const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
/// PKCS #8 of an Ed25519 key, before its 32 bytes (RFC 8410 §7).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What a connection is for. Named in the handshake (ALPN, RFC 7301), with the protocol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Raft traffic of all shards.
    Raft,
    /// One snapshot.
    Snapshot,
    /// Calls between actors.
    Actors,
    /// Joining, and what operators ask.
    Control,
}

impl Channel {
    const ALL: [Self; 4] = [Self::Raft, Self::Snapshot, Self::Actors, Self::Control];

    const fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Snapshot => "snapshot",
            Self::Actors => "actors",
            Self::Control => "control",
        }
    }

    fn protocols(self) -> impl Iterator<Item = Vec<u8>> {
        UNDERSTOOD.iter().map(move |version| format!("janua/{version}/{}", self.name()).into())
    }

    /// The channel that a handshake has agreed on.
    pub fn agreed(protocol: Option<&[u8]>) -> Option<Self> {
        let protocol = protocol?;
        Self::ALL.into_iter().find(|channel| channel.protocols().any(|known| known == protocol))
    }
}

/// How long a certificate is good, before the moment in which it is made and after it: so far may the
/// clocks of nodes be apart that are still to hear each other say so.
const GOOD_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the members of a cluster know.
#[derive(Clone)]
pub struct Secrets {
    /// By which this node shows who it is.
    pub own: Secret,
    /// Another one, by which others may.
    pub also: Option<Secret>,
}

impl From<Secret> for Secrets {
    fn from(own: Secret) -> Self {
        Self { own, also: None }
    }
}

/// Why no identity could be made.
#[derive(Debug, thiserror::Error)]
#[error("the node's certificate cannot be made: {0}")]
pub struct IdentityError(String);

/// A node's certificate, and how it checks those of others.
pub struct Identity {
    server: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 4],
}

impl Identity {
    /// The identity of a node, made now; node 0 is one that has no number yet.
    pub fn new(secrets: &Secrets, node: u64, now: Moment) -> Result<Self, IdentityError> {
        let failed = |error: rustls::Error| IdentityError(error.to_string());
        let unmade = |error: rcgen::Error| IdentityError(error.to_string());
        let (chain, key) = issue(&secrets.own, node, now).map_err(unmade)?;
        let mut roots = RootCertStore::empty();
        for secret in [&secrets.own].into_iter().chain(&secrets.also) {
            let (authority, key) = authority(secret).map_err(unmade)?;
            let root = authority.self_signed(&key).map_err(unmade)?;
            roots.add(root.der().clone()).map_err(failed)?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| IdentityError(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(VERSIONS)
            .map_err(failed)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![chain.clone()], key.clone_key())
            .map_err(failed)?;
        server.alpn_protocols = Channel::ALL.into_iter().flat_map(Channel::protocols).collect();
        // Nothing is resumed, so nothing of a connection outlives it.
        server.send_tls13_tickets = 0;
        let client = |channel: Channel| {
            let mut client = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(VERSIONS)?
                .with_root_certificates(roots.clone())
                .with_client_auth_cert(vec![chain.clone()], key.clone_key())?;
            client.alpn_protocols = channel.protocols().collect();
            client.resumption = rustls::client::Resumption::disabled();
            Ok(Arc::new(client))
        };
        let [raft, snapshot, actors, control] = Channel::ALL.map(client);
        let clients = [
            raft.map_err(failed)?,
            snapshot.map_err(failed)?,
            actors.map_err(failed)?,
            control.map_err(failed)?,
        ];
        Ok(Self { server: Arc::new(server), clients })
    }

    /// For accepting.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// For connecting.
    pub fn client(&self, channel: Channel) -> Arc<ClientConfig> {
        self.clients[channel as usize].clone()
    }
}

/// The authority that both ends trust.
fn authority(secret: &Secret) -> Result<(CertificateParams, KeyPair), rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "janua cluster");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok((authority, authority_key(secret)?))
}

/// Certificate and key.
fn issue(
    secret: &Secret,
    node: u64,
    now: Moment,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let (authority, authority_key) = authority(secret)?;
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    // Every node answers to a name of its own, and to the one by which a stranger knows it.
    let mut leaf = CertificateParams::new(vec![name(node), ANY.to_owned()])?;
    let now = OffsetDateTime::UNIX_EPOCH + Duration::from_millis(now.0);
    (leaf.not_before, leaf.not_after) = (now - GOOD_FOR, now + GOOD_FOR);
    leaf.distinguished_name.push(DnType::CommonName, format!("janua node {node}"));
    leaf.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((leaf.der().clone(), key))
}

fn authority_key(secret: &Secret) -> Result<KeyPair, rcgen::Error> {
    let seed = mac(secret.expose().as_bytes(), b"janua cluster authority 1");
    let key = Zeroizing::new([ED25519_PKCS8.as_slice(), &seed].concat());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_slice()));
    KeyPair::from_der_and_sign_algo(&key, &PKCS_ED25519)
}

/// The name of any node of the cluster.
const ANY: &str = "any.janua";

fn name(node: u64) -> String {
    format!("node-{node}.janua")
}

/// The name that the certificate of a node must have; of any, if none is expected.
pub fn expected(node: Option<u64>) -> ServerName<'static> {
    let name = node.map_or_else(|| ANY.to_owned(), name);
    #[expect(clippy::expect_used, reason = "both forms are DNS names")]
    ServerName::try_from(name).expect("a DNS name")
}

/// Whether this certificate, which was verified, is that of `node`.
pub fn is_of(certificate: &CertificateDer<'_>, node: u64) -> bool {
    let parsed = ParsedCertificate::try_from(certificate);
    parsed.is_ok_and(|parsed| verify_server_name(&parsed, &expected(Some(node))).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_its_node_alone() {
        let secret = Secret::given("a secret of the cluster's members");
        let (certificate, _) = issue(&secret, 3, Moment(0)).expect("a certificate");
        assert!(is_of(&certificate, 3));
        assert!(!is_of(&certificate, 4));
    }

    #[test]
    fn the_authority_depends_on_the_secret_alone() {
        let key = |secret| {
            let key = authority_key(&Secret::given(secret)).expect("a key");
            key.public_key_raw().to_vec()
        };
        assert_eq!(key("one"), key("one"));
        assert_ne!(key("one"), key("two"));
    }
}
