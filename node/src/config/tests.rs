//! The configuration as its users meet it: layers, messages, and the documented file.

use std::path::Path;

use super::layers::DEFAULTS;
use super::*;

fn load_from(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Flags,
) -> Result<Config, Vec<Problem>> {
    let (config, layers) = read(file, environment, flags);
    verdict(config, layers)
}

fn load_text(
    text: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str, &str)],
) -> Result<Config, Vec<Problem>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let flags =
        flags.iter().map(|(flag, key, value)| ((*flag).into(), (*key).into(), (*value).into()));
    load_from(Some(file.path()), variables, &flags.collect())
}

fn defaults() -> Config {
    load_from(None, std::iter::empty(), &Flags::new()).unwrap()
}

/// The one problem of a file, as the operator reads it.
fn problem(text: &str) -> String {
    let problems = load_text(text, &[], &[]).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn the_documented_file_holds_every_key_and_the_defaults() {
    let mut layers = Layers::new();
    let config = Config::read(&mut layers);
    assert!(layers.untaken().is_empty(), "documented, but never read: {:?}", layers.untaken());
    let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../cluster.toml"));
    assert_eq!(load_from(Some(shipped), std::iter::empty(), &Flags::new()).as_ref(), Ok(&config));
    assert_eq!(config, defaults());
}

#[test]
fn every_documented_key_has_a_comment() {
    let keys =
        DEFAULTS.lines().filter(|line| !line.starts_with(['#', '[']) && line.contains(" = "));
    for line in keys {
        assert!(line.contains("# "), "{line}");
    }
}

#[test]
fn the_defaults_are_the_promised_ones() {
    let config = defaults();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.node.data_dir, Path::new("data"));
    assert_eq!(config.tenancy.default_tenant.as_deref(), Some("default"));
    assert_eq!(config.cluster.shards.0, 16);
    assert_eq!(config.http.body_timeout.0.as_secs(), 10);
    assert_eq!(config.http.request_timeout.0.as_secs(), 15);
    assert_eq!(config.tokens.access_ttl.0.as_secs(), 3600);
    assert_eq!(config.tokens.session_ttl.0.as_secs(), 7 * 86400);
    assert_eq!(config.tokens.signing_algorithm, SigningAlgorithm::Es256);
    let argon2 = &config.passwords;
    assert_eq!((argon2.memory_kib.0, argon2.iterations.0, argon2.parallelism.0), (19456, 2, 1));
    assert_eq!(config.storage.cache_bytes.0, 16 << 20);
    assert_eq!(config.sessions.per_user.0, 200);
    assert_eq!(config.sessions.live_actors.0, 2_000);
    let limits = serde_json::to_value(&config.limits).unwrap();
    assert_eq!(limits["authentication"], "10/min");
    assert_eq!(limits["api"], "1000/hour");
}

#[test]
fn flags_beat_the_environment_and_it_beats_the_file() {
    let file = "[node]\nname = \"file\"\ndata_dir = \"file\"\n[http]\nlisten = \"127.0.0.1:1\"\n";
    let variables = [("JANUA_NODE__NAME", "variable"), ("JANUA_HTTP__LISTEN", "127.0.0.1:2")];
    let flags = [("--listen", "http.listen", "127.0.0.1:3")];
    let config = load_text(file, &variables, &flags).unwrap();
    assert_eq!(config.node.data_dir, Path::new("file"));
    assert_eq!(config.node.name, "variable");
    assert_eq!(config.http.listen.port(), 3);
}

#[test]
fn a_variable_holds_lists_numbers_switches_and_providers() {
    let config = load_text(
        "",
        &[
            ("JANUA_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8"),
            ("JANUA_CLUSTER__SHARDS", "4"),
            ("JANUA_WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true"),
            ("JANUA_OAUTH__GOOGLE__CLIENT_ID", "id"),
            ("JANUA_OAUTH__GOOGLE__CLIENT_SECRET", "secret"),
            ("JANUA_URL", "another command's"),
        ],
        &[],
    );
    let config = config.unwrap();
    assert_eq!(config.http.trusted_proxies.len(), 2);
    assert_eq!(config.cluster.shards.0, 4);
    assert!(config.webhooks.allow_private_addresses);
    assert_eq!(config.oauth["google"].client_id.as_deref(), Some("id"));
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_the_known_ones() {
    let text = problem("[http]\nlisten_on = \"127.0.0.1:1\"\n");
    assert!(text.starts_with("http.listen_on (/"), "{text}");
    assert!(text.contains("there is no such key; [http] has admin_listen,"), "{text}");
    assert!(problem("[htp]\n").contains("the sections are bootstrap, cluster,"));
    assert!(problem("[oauth.google]\nclient = \"x\"\n").contains("[oauth.NAME] has client_id,"));
}

#[test]
fn a_bad_value_is_named_with_what_is_allowed() {
    for (text, key, allowed) in [
        ("[http]\nlisten = \"localhost\"", "http.listen", "an IP address and a port"),
        ("[http]\npublic_url = \"ftp://x\"", "http.public_url", "an http:// or https:// address"),
        (
            "[http]\ntrusted_proxies = [\"10.0.0.0/33\"]",
            "http.trusted_proxies",
            "a list, each a CIDR",
        ),
        ("[http]\nmax_body_bytes = 1", "http.max_body_bytes", "a whole number from 1024 to"),
        ("[http]\ntls_key = \"key.pem\"", "http.tls_key", "must be given together"),
        (
            "[tokens]\naccess_ttl = \"soon\"",
            "tokens.access_ttl",
            "a duration, such as 30s, 15min, 1h or 7d",
        ),
        (
            "[tokens]\naccess_ttl = \"1h\"\nsession_ttl = \"1min\"",
            "tokens.access_ttl",
            "must not be longer than",
        ),
        (
            "[http]\nbody_timeout = \"10s\"\nrequest_timeout = \"10s\"",
            "http.body_timeout",
            "must be shorter than http.request_timeout",
        ),
        (
            "[tenancy]\ndefault_tenant = \"Default\"",
            "tenancy.default_tenant",
            "lower-case letters, digits, `_` and `-`, at most 64",
        ),
        ("[tokens]\nsession_ttl = \"400d\"", "tokens.session_ttl", "from 10s to 366d"),
        (
            "[tokens]\nsigning_algorithm = \"none\"",
            "tokens.signing_algorithm",
            "one of ES256, EdDSA, RS256, HS256",
        ),
        (
            "[limits]\napi = \"10/fortnight\"",
            "limits.api",
            "N/second, N/min, N/hour or N/day, or 0 for off",
        ),
        ("[limits]\napi = \"0/hour\"", "limits.api", "or 0 for off"),
        ("[passwords]\niterations = 0", "passwords.iterations", "a whole number from 1 to 64"),
        (
            "[passwords]\nmemory_kib = 8\nparallelism = 2",
            "passwords.memory_kib",
            "at least 8 times",
        ),
        ("[cluster]\nreplicas = 2", "cluster.replicas", "must be 1, 3 or 5"),
        ("[cluster]\njoin = [\"node\"]", "cluster.join", "each a host and a port"),
        (
            "[bootstrap]\nsecret_key = \"jsk_short\"",
            "bootstrap.secret_key",
            "begin with jsk_ and have at least 32",
        ),
        ("[webauthn]\norigins = [\"https://evil.example\"]", "webauthn.origins", "at localhost"),
        ("[mail]\nsmtp_url = \"mail.example\"", "mail.smtp_url", "smtp:// or smtps://"),
        (
            "[mail]\nsmtp_url = \"mail://host\"",
            "mail.smtp_url",
            "or empty, but it begins with neither",
        ),
        ("[log]\nlevel = \"info,=\"", "log.level", "directives"),
        ("[log]\nlevel = \"wran\"", "log.level", "off, error, warn, info, debug, trace"),
        ("[log]\nlevel = \"info,janua_http\"", "log.level", "directives"),
        (
            "[oauth.acme]\nclient_id=\"x\"\nclient_secret=\"y\"",
            "oauth.acme.issuer",
            "must be given",
        ),
    ] {
        let found = problem(text);
        assert!(found.starts_with(&format!("{key} (/")), "{text}: {found}");
        assert!(found.contains(allowed), "{text}: {found}");
    }
}

#[test]
fn the_log_takes_levels_and_directives() {
    for level in ["off", "WARN", "trace", "info,janua_http=debug,raft_engine=warn", "a::b=off"] {
        let config = load_text(&format!("[log]\nlevel = \"{level}\""), &[], &[]);
        assert_eq!(config.expect(level).log.level, level);
    }
}

#[test]
fn the_variable_or_the_flag_is_named_instead_of_the_file() {
    let problems = load_text("", &[("JANUA_HTTP__LISTEN", "x")], &[]).unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("http.listen (environment variable JANUA_HTTP__LISTEN): ")
    );
    let problems = load_text("", &[], &[("--listen", "http.listen", "x")]).unwrap_err();
    assert!(problems[0].to_string().starts_with("http.listen (flag --listen): "));
}

#[test]
fn every_problem_is_reported_at_once() {
    let text =
        "[http]\nlisten = 5\nnothing = 1\n[tokens]\naccess_ttl = \"\"\n[cluster]\nreplicas = 4\n";
    let problems = load_text(text, &[("JANUA_LIMITS__API", "many")], &[]).unwrap_err();
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        ["http.nothing", "http.listen", "tokens.access_ttl", "limits.api", "cluster.replicas"]
    );
}

#[test]
fn a_secret_is_never_repeated() {
    let text = "[bootstrap]\noperator_token = \"jop_hush\"\n[mail]\nsmtp_url = \"http://user:hush@host\"\n";
    let problems = load_text(text, &[("JANUA_CLUSTER__SECRET", "hush")], &[]).unwrap_err();
    assert_eq!(problems.len(), 3);
    let broken = load_text("[cluster]\nsecret = \"hush\nx", &[], &[]).unwrap_err();
    for problem in problems.iter().chain(&broken) {
        assert!(!problem.to_string().contains("hush"), "{problem}");
    }
    let secret = "jop_hush-hush-hush-hush-hush-hush-hush";
    let config =
        load_text(&format!("[bootstrap]\noperator_token = \"{secret}\""), &[], &[]).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    assert!(!serde_json::to_string(&config).unwrap().contains("hush"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problems =
        load_from(Some(Path::new("/nowhere/cluster.toml")), std::iter::empty(), &Flags::new());
    assert!(
        problems.unwrap_err()[0]
            .to_string()
            .starts_with("/nowhere/cluster.toml: the file cannot be read")
    );
    assert!(problem("[http\n").contains("line 1 is not TOML"));
}

#[test]
fn start_up_warns_of_an_open_tenant_and_of_a_key_beside_the_data() {
    let warnings = warnings(&defaults());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the cluster key lies in the data folder"));
    let open = load_text("[http]\npublic_url = \"https://id.example.com\"", &[], &[]).unwrap();
    assert!(super::warnings(&open)[0].contains("requests without a key are accepted"));
    let closed = "[http]\npublic_url = \"https://id.example.com\"\n[tenancy]\ndefault_tenant = \"\"\n\
                  [storage]\nkey_file = \"/etc/janua.key\"\n\
                  [mail]\nsmtp_url = \"smtps://mail.example.com\"\n";
    assert!(super::warnings(&load_text(closed, &[], &[]).unwrap()).is_empty());
}
