//! Command lines as a reader of the documents would paste them.

use std::process::Command;

use serde_json::Value;

/// What `curl` printed.
#[derive(Debug)]
pub struct Pasted {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// Runs pasted lines in `bash`, with `-s` and the status made visible by curl's own configuration.
/// `http://localhost:3000` stands for the node under test.
pub async fn paste(lines: &str, address: &str) -> Pasted {
    let lines = lines.replace("localhost:3000", address);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let visible = "silent\nshow-error\nwrite-out = \"\\n%{http_code}\"\n";
    std::fs::write(folder.path().join(".curlrc"), visible).expect("curl's configuration");
    let home = folder.path().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .args(["-euc", &lines])
            .env("HOME", &home)
            .env("CURL_HOME", &home)
            .output()
    });
    let output = ran.await.expect("the task ends").expect("bash runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (body, status) = text.trim_end().rsplit_once('\n').expect("a body and a status");
    Pasted {
        status: status.parse().expect("a status"),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}
