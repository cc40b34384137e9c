//! A running node, asked over HTTP with the operator's token.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::cli::Remote;
use crate::failure::Failure;

/// How long a node may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Asks, and gives back what the envelope holds; a refusal is a failure of one line.
pub fn ask(remote: &Remote, method: Method, path: &str) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(format!("threads cannot be started: {error}")))?;
    runtime.block_on(send(remote, method, path))
}

async fn send(remote: &Remote, method: Method, path: &str) -> Result<Value, Failure> {
    let token = remote.operator_token.as_deref().ok_or_else(|| {
        failed("the operator's token must be given: set JANUA_OPERATOR_TOKEN".into())
    })?;
    let url = format!("{}{path}", remote.url.trim_end_matches('/'));
    let unreached =
        |error: reqwest::Error| failed(format!("{} is not reached: {error}", remote.url));
    let client = reqwest::Client::builder().timeout(DEADLINE).build().map_err(unreached)?;
    let answer = client.request(method, url).bearer_auth(token).send().await.map_err(unreached)?;
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(match body.get("data") {
            Some(data) => data.clone(),
            None => body,
        });
    }
    let message = body["error"]["message"].as_str().unwrap_or("it is no Janua node");
    let details = body["error"]["details"].as_array().into_iter().flatten();
    let details: String = details
        .map(|detail| {
            let text = |key: &str| detail[key].as_str().unwrap_or_default().to_owned();
            format!("; {} {}", text("field"), text("message"))
        })
        .collect();
    Err(failed(format!("{} answers {status}: {message}{details}", remote.url)))
}

fn failed(problem: String) -> Failure {
    Failure::Start(problem)
}
