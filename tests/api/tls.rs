//! TLS on the listener, and a certificate that changes while it serves.

use std::path::Path;

use janua_tests::node::Api;
use janua_tests::{Node, wait};
use reqwest::tls::TlsInfo;

/// Writes a new self-signed certificate and its key; the certificate.
fn renew(folder: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]);
    let made = made.expect("a certificate");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())
        .expect("it is written");
    std::fs::write(folder.join("certificate.pem"), made.cert.pem()).expect("it is written");
    made.cert.der().to_vec()
}

async fn shown(api: &Api) -> Option<Vec<u8>> {
    let client =
        reqwest::Client::builder().tls_danger_accept_invalid_certs(true).tls_info(true).build();
    let url = format!("{}/health/live", api.base());
    let response = client.ok()?.get(url).send().await.ok()?;
    let info = response.extensions().get::<TlsInfo>()?;
    info.peer_certificate().map(<[u8]>::to_vec)
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let node = Node::with("http.tls_certificate", folder.path().join("certificate.pem").display())
        .with("http.tls_key", folder.path().join("key.pem").display())
        .start()
        .await;
    assert!(node.api.base().starts_with("https://"));
    let alice = node.register("alice").await;
    assert_eq!(shown(&node.api).await, Some(first));
    let second = renew(folder.path());
    wait::until("the new certificate is shown", async || {
        (shown(&node.api).await.as_ref() == Some(&second)).then_some(())
    })
    .await;
    alice.session.is_alive().await;
}
