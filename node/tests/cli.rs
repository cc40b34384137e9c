//! The command line as scripts meet it: output, exit codes, one clear line for each mistake.

use std::path::Path;
use std::process::{Command, Output};

fn janua(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_janua")).args(arguments).output().expect("janua runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

#[test]
fn the_help_names_every_command_and_the_exit_codes() {
    let help = janua(&["--help"]);
    assert!(help.status.success());
    let words =
        ["serve", "config", "completions", "backup", "restore", "cluster", "tenant", "key", "demo"];
    for word in words.into_iter().chain(["operator-token", "audit", "Exit codes", "130"]) {
        assert!(stdout(&help).contains(word), "{word}");
    }
    let serve = janua(&["serve", "--help"]);
    for flag in ["--config", "--data-dir", "--listen", "--set", "--json"] {
        assert!(stdout(&serve).contains(flag), "{flag}");
    }
    assert_eq!(stdout(&janua(&["--version"])), concat!("janua ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_good_configuration_is_called_good() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster.toml");
    let checked = janua(&["config", "check", "--config", shipped.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(stdout(&checked).contains("the configuration is good"));
    let checked = janua(&["config", "check", "--json"]);
    let verdict: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(verdict["valid"], true);
    assert_eq!(verdict["settings"]["http"]["listen"], "127.0.0.1:3000");
}

#[test]
fn a_bad_configuration_ends_with_code_2_and_a_line_for_each_problem() {
    let arguments = ["--listen", "nowhere", "--set", "limits.api=often"];
    for command in [&["config", "check"][..], &["serve"]] {
        let output = janua(&[command, &arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        let lines: Vec<_> = stderr(&output).lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("janua: http.listen (flag --listen): ")));
        assert!(lines.iter().any(|line| line.starts_with("janua: limits.api (flag --set): ")));
    }
    let tenant = ["--set", "tenancy.default_tenant=Default"];
    for command in [&["config", "check"][..], &["serve"]] {
        let output = janua(&[command, &tenant].concat());
        assert_eq!(output.status.code(), Some(2), "what serve refuses, check refuses");
        assert!(stderr(&output).contains("lower-case letters"), "{}", stderr(&output));
    }
    let output = janua(&[&["config", "check", "--json"][..], &arguments].concat());
    assert_eq!(output.status.code(), Some(2));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["valid"], false);
    assert_eq!(verdict["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn a_file_that_a_key_names_is_read_before_a_node_starts() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short");
    std::fs::write(&short, "short").unwrap();
    let short = short.to_str().unwrap();
    let nowhere = "/nonexistent/janua";
    for (settings, key) in [
        (vec![("storage.key_file", nowhere)], "storage.key_file"),
        (vec![("storage.previous_key_file", short)], "storage.previous_key_file"),
        (vec![("mail.smtp_ca", nowhere)], "mail.smtp_ca"),
        (vec![("mail.smtp_url", "smtps://mail"), ("mail.smtp_ca", short)], "mail.smtp_ca"),
        (vec![("http.tls_certificate", short), ("http.tls_key", nowhere)], "http.tls_certificate"),
    ] {
        let set = settings.iter().map(|(key, value)| format!("--set={key}={value}"));
        let set: Vec<_> = set.collect();
        for command in [&["config", "check"][..], &["serve", "--data-dir", nowhere]] {
            let set = set.iter().map(String::as_str).collect::<Vec<_>>();
            let output = janua(&[command, &set].concat());
            assert_eq!(output.status.code(), Some(2), "{key}: {}", stderr(&output));
            let said = format!("janua: {key} (flag --set): ");
            assert!(stderr(&output).starts_with(&said), "{key}: {}", stderr(&output));
            assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        }
    }
    let checked = janua(&["config", "check", "--set=geoip.database=/nonexistent/janua"]);
    assert!(checked.status.success(), "a database of addresses may come later");
    assert!(
        stdout(&checked).contains("warning: sessions tell no location"),
        "{}",
        stdout(&checked)
    );
}

#[test]
fn a_program_that_asks_for_json_gets_it_whatever_goes_wrong() {
    let nowhere = ["--data-dir", "/nonexistent/janua"];
    let url = ["--url", "http://127.0.0.1:9"];
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/no-such-file");
    let commands: [(&[&str], &[&str]); 5] = [
        (&["cluster", "recover", "--json"], &nowhere),
        (&["operator-token", "reset", "--json"], &nowhere),
        (&["cluster", "status", "--json"], &url),
        (&["tenant", "create", "acme", "--json"], &url),
        (&["audit", "verify", file, "--json"], &[]),
    ];
    for (command, more) in commands {
        let output = janua(&[command, more].concat());
        assert!(!output.status.success(), "{command:?}");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{command:?}: {error}: {}", stdout(&output)));
        let message = said["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "{command:?}: {said}");
        assert!(said["error"]["code"].is_string(), "{command:?}: {said}");
        assert!(stderr(&output).contains(message), "{command:?}: {}", stderr(&output));
    }
    let wrong = ["cluster", "recover", "--json", "--set", "limits.api=often"];
    let output = janua(&wrong);
    assert_eq!(output.status.code(), Some(2));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["error"]["problems"][0]["key"], "limits.api");
}

#[test]
fn an_unknown_command_ends_with_code_2() {
    assert_eq!(janua(&["sreve"]).status.code(), Some(2));
    assert_eq!(janua(&[]).status.code(), Some(2));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = janua(&["completions", shell]);
        assert!(script.status.success());
        assert!(stdout(&script).contains("janua"), "{shell}");
    }
}
