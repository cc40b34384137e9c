//! TLS with a certificate that may change while the server runs: a new pair is taken when both
//! files fit together, and the old one kept when they do not.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::settings::TlsFiles;

/// A certificate and the files that it came from.
pub struct Certificate {
    files: TlsFiles,
    seen: Stamps,
    current: Arc<Current>,
}

/// What tells whether the files have changed: when they were written, and their lengths.
type Stamps = [Option<(SystemTime, u64)>; 2];

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl Certificate {
    /// The certificate and key that the files hold.
    pub fn load(files: TlsFiles) -> io::Result<Self> {
        let seen = stamps(&files);
        let key = read(&files)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(key))));
        Ok(Self { files, seen, current })
    }

    /// An acceptor that always shows the current certificate.
    pub fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Takes the new pair if the files have changed and it is good. A pair that is not is reported
    /// once; replacing the files one after the other passes through that state.
    pub fn reload_if_changed(&mut self) {
        let now = stamps(&self.files);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match read(&self.files) {
            Ok(key) => {
                *self.current.0.write() = Arc::new(key);
                tracing::info!(file = %self.files.certificate.display(), "took the new certificate");
            }
            Err(error) => tracing::warn!(%error, "kept the old certificate"),
        }
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    [&files.certificate, &files.key].map(|file| {
        let found = std::fs::metadata(file).ok()?;
        Some((found.modified().ok()?, found.len()))
    })
}

fn read(files: &TlsFiles) -> io::Result<CertifiedKey> {
    let certificate = &files.certificate;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, "is no PEM certificate", &error))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "holds no certificate", &"nothing found"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable(&files.key, "is no PEM private key", &error))?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map_err(|error| unusable(&files.key, "does not fit the certificate", &error))
}

fn unusable(file: &Path, why: &str, error: &dyn std::fmt::Display) -> io::Error {
    let message = format!("{} {why} ({error})", file.display());
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Issued = rcgen::CertifiedKey<rcgen::KeyPair>;

    fn issue() -> Issued {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
    }

    fn write(files: &TlsFiles, certificate: &Issued, key: &Issued) {
        std::fs::write(&files.certificate, certificate.cert.pem()).unwrap();
        std::fs::write(&files.key, key.signing_key.serialize_pem()).unwrap();
    }

    fn shown(certificate: &Certificate) -> Vec<u8> {
        certificate.current.0.read().cert[0].to_vec()
    }

    #[test]
    fn a_pair_that_does_not_fit_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let files = TlsFiles { certificate: path("tls.crt"), key: path("tls.key") };
        let (old, new) = (issue(), issue());
        write(&files, &old, &old);
        let mut certificate = Certificate::load(files.clone()).unwrap();

        write(&files, &new, &old);
        certificate.reload_if_changed();
        assert_eq!(shown(&certificate), old.cert.der().to_vec());
        std::fs::remove_file(&files.key).unwrap();
        certificate.reload_if_changed();
        assert_eq!(shown(&certificate), old.cert.der().to_vec());
        write(&files, &new, &new);
        certificate.reload_if_changed();
        assert_eq!(shown(&certificate), new.cert.der().to_vec());
    }
}
