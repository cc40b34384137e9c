//! A running node, as the command line speaks to it: by its API, as the operator.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::failure::Failure;

/// The variable that holds the operator token. It is no flag: those can be read by other users.
const TOKEN: &str = "JANUA_OPERATOR_TOKEN";

/// How long a node may take to answer; a body may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which node to speak to. The operator token is read from JANUA_OPERATOR_TOKEN.
#[derive(Debug, Args)]
#[command(next_help_heading = "Node")]
pub struct Remote {
    /// Where the node's API (or its admin listener) is reached
    #[arg(long, value_name = "URL", env = "JANUA_URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// PEM file of the authority that the node's certificate is trusted by, beside the system's
    #[arg(long, value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
}

/// A node that can be asked.
pub struct Node {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Remote {
    /// Makes ready to ask; nothing is sent yet.
    pub fn node(&self) -> Result<Node, Failure> {
        let token = std::env::var(TOKEN).unwrap_or_default();
        if token.is_empty() {
            return Err(Failure::Usage(format!("set {TOKEN} to the operator token, jop_…")));
        }
        let unusable = |error: reqwest::Error| Failure::Start(told("the client", &error));
        let mut client = reqwest::Client::builder()
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &self.ca_certificate {
            let pem = std::fs::read(path).map_err(|error| {
                Failure::Start(format!("{} cannot be read: {error}", path.display()))
            })?;
            let certificate = reqwest::Certificate::from_pem(&pem).map_err(unusable)?;
            client = client.add_root_certificate(certificate);
        }
        let http = client.build().map_err(unusable)?;
        Ok(Node { base: self.url.trim_end_matches('/').into(), token, http })
    }
}

impl Node {
    /// A request of the operator.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// The answer to a request, if it is a yes.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let sent = request.send().await;
        let response = sent.map_err(|error| Failure::Start(told(&self.base, &error)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_default();
        let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
        let (code, message) = (text("code"), text("message").unwrap_or_default());
        let details = body["error"]["details"].as_array().into_iter().flatten();
        let details: Vec<_> = details
            .filter_map(|one| {
                Some(format!("{} {}", one["field"].as_str()?, one["message"].as_str()?))
            })
            .collect();
        let what = code.unwrap_or_else(|| status.to_string());
        let details =
            if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
        Err(Failure::Start(format!("{} says {what}: {message}{details}", self.base)))
    }

    /// `data` of the answer.
    pub async fn data(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let body = self.send(request).await?.json::<Value>().await;
        let body = body.map_err(|error| Failure::Start(told(&self.base, &error)))?;
        Ok(body["data"].clone())
    }

    /// Something that went wrong while an answer was being read.
    pub fn broken(&self, error: &reqwest::Error) -> Failure {
        Failure::Start(told(&self.base, error))
    }
}

/// An error with its causes, on one line.
fn told(what: &str, error: &reqwest::Error) -> String {
    let mut text =
        format!("{what}: {}", error.to_string().split(" for url").next().unwrap_or_default());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
