//! The files that keys name, read as a node reads them: what is wrong with one shows before anything
//! has begun.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use janua_actors::mail::Relay;
use janua_http::server::check_tls;
use janua_http::settings::TlsFiles;
use zeroize::Zeroizing;

use super::Config;
use super::layers::Layers;

/// The shortest material of a wrapping key that is taken, in bytes.
const SHORTEST_KEY: usize = 16;

/// Remembers a problem for every file that a node could not start with.
pub fn check(config: &Config, layers: &mut Layers) {
    let mut require = |key: &str, checked: Result<(), String>| {
        let problem = checked.err();
        layers.require(problem.is_none(), key, problem.unwrap_or_default());
    };
    let storage = &config.storage;
    for (key, file) in [
        ("storage.key_file", &storage.key_file),
        ("storage.previous_key_file", &storage.previous_key_file),
    ] {
        // What a pipe gives, it gives once: to the node.
        if let Some(file) = file.as_ref().filter(|file| !is_pipe(file)) {
            require(key, key_material(file).map(drop));
        }
    }
    if let (Some(certificate), Some(key)) = (&config.http.tls_certificate, &config.http.tls_key) {
        let files = TlsFiles { certificate: certificate.clone(), key: key.clone() };
        let checked = check_tls(&files).map_err(|error| error.to_string());
        require("http.tls_certificate", checked);
    }
    if let Some(file) = &config.mail.smtp_ca {
        let trusted = read(file).and_then(|pem| match &config.mail.smtp_url {
            // What is wrong with the URL itself has been said.
            Some(url) if Relay::new(url.expose(), None).is_ok() => {
                Relay::new(url.expose(), Some(&pem)).map(drop).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        });
        require("mail.smtp_ca", trusted);
    }
}

/// What the key is made of that wraps the cluster's.
pub fn key_material(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let material = Zeroizing::new(read(file)?);
    match material.len() {
        0..SHORTEST_KEY => Err(format!("{} holds fewer than {SHORTEST_KEY} bytes", file.display())),
        _ => Ok(material),
    }
}

fn is_pipe(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.file_type().is_fifo())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}
