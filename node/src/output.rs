//! What the program says outside its log. On standard output: where it listens, and the keys of a cluster that has
//! just been founded. The keys are shown here once and nowhere else, least of all in the log; those
//! that the configuration gives are known to whoever gave them, and are shown nowhere.

use std::io::Write;
use std::net::SocketAddr;

use serde_json::json;

use crate::failure::Failure;

/// The keys that founding drew; none in the place of one that `[bootstrap]` gave.
pub struct Founded {
    /// Names the default tenant; safe in a browser.
    pub publishable_key: Option<String>,
    /// Acts for the default tenant, server to server.
    pub secret_key: Option<String>,
    /// Acts for the operator, on `/admin`.
    pub operator_token: Option<String>,
}

/// How standard output is written.
#[derive(Debug, Clone, Copy)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Output {
    /// Shows the keys of a new cluster. Those that could not be shown are lost, which ends the program.
    pub fn founded(self, keys: &Founded) -> Result<(), Failure> {
        let drawn = [&keys.publishable_key, &keys.secret_key, &keys.operator_token];
        let shown = write(&match self {
            Self::Text => founded_text(keys),
            Self::Json => line(&json!({
                "event": "founded",
                "tenant": "default",
                "publishableKey": keys.publishable_key,
                "secretKey": keys.secret_key,
                "operatorToken": keys.operator_token,
            })),
        });
        match shown {
            Err(error) if drawn.iter().any(|key| key.is_some()) => Err(Failure::Start(format!(
                "a cluster was founded, but standard output cannot be written, and nobody has seen \
                 its keys: {error}. Draw others: `janua operator-token reset`, and with that token \
                 `janua key create --tenant default`"
            ))),
            _ => Ok(()),
        }
    }

    /// Says where the node can be reached. Where nobody reads it, it can be reached all the same.
    pub fn listening(self, api: SocketAddr, admin: Option<SocketAddr>, tls: bool) {
        let scheme = if tls { "https" } else { "http" };
        let shown = write(&match self {
            Self::Text => {
                let admin = admin.map(|admin| format!("admin and metrics at {scheme}://{admin}\n"));
                let admin = admin.unwrap_or_default();
                format!(
                    "janua listens at {scheme}://{api} (documents at {scheme}://{api}/docs)\n{admin}"
                )
            }
            Self::Json => line(&json!({
                "event": "listening",
                "address": api,
                "adminAddress": admin,
                "scheme": scheme,
            })),
        });
        if let Err(error) = shown {
            tracing::warn!(%api, %error, "standard output cannot be written");
        }
    }
}

fn founded_text(keys: &Founded) -> String {
    let shown = |key: &Option<String>| key.clone().unwrap_or("(from the configuration)".into());
    format!(
        "A new cluster with the tenant \"default\". These keys are shown this once; keep them:\n\
         \n\
         \x20 publishable key  {}\n\
         \x20 secret key       {}\n\
         \x20 operator token   {}\n\n",
        shown(&keys.publishable_key),
        shown(&keys.secret_key),
        shown(&keys.operator_token)
    )
}

fn line(value: &serde_json::Value) -> String {
    format!("{value}\n")
}

/// Writes a line to standard error. Where that cannot be written, nobody is there to be told.
pub fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Writes to standard output, whole and at once.
pub fn print(text: &str) -> Result<(), Failure> {
    write(text)
        .map_err(|error| Failure::Start(format!("standard output cannot be written: {error}")))
}

fn write(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_shows_every_key_on_a_line_of_its_own() {
        let keys = Founded {
            publishable_key: Some("jpk_1".into()),
            secret_key: Some("jsk_2".into()),
            operator_token: None,
        };
        let text = founded_text(&keys);
        for key in ["jpk_1", "jsk_2", "operator token   (from the configuration)"] {
            assert!(text.lines().any(|line| line.ends_with(key)), "{text}");
        }
    }
}
