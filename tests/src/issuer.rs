//! An OpenID Connect issuer that does as a test tells it, wrong things too; and a GitHub. Both keep
//! what the standards ask of a server: codes are good once, and only with the client's secret, the
//! redirect URI and the PKCE verifier of their request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use janua_storage::secret::SecretHash;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use reqwest::Url;
use serde_json::{Value, json};

use crate::browser::parameter;
use crate::node::Setup;
use crate::server::{Answer, Asked, Server};

/// Our name at every provider.
pub const CLIENT: &str = "janua";

/// Our secret there.
pub const SECRET: &str = "a-secret-of-the-client-at-its-provider";

type Codes = HashMap<String, Grant>;

#[derive(Clone)]
struct Grant {
    challenge: String,
    nonce: String,
    redirect_uri: String,
    claims: Value,
}

/// Who signs an ID token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signature {
    /// The issuer.
    #[default]
    Own,
    /// Nobody, as its header says.
    None,
    /// Nobody, although its header names the issuer's key.
    Cut,
    /// Whoever knows the client's secret.
    Secret,
    /// Somebody else, in the name of the issuer's key.
    Stranger,
}

type Twist = Arc<dyn Fn(&mut Value) + Send + Sync>;

#[derive(Default)]
struct Habits {
    codes: Codes,
    issued: usize,
    signature: Signature,
    twist: Option<Twist>,
    is_down: bool,
    is_busy: bool,
    has_another_key: bool,
    only_userinfo: bool,
    userinfo_subject: Option<String>,
}

/// A running issuer; ended when dropped.
pub struct Issuer {
    server: Server,
    habits: Arc<Mutex<Habits>>,
}

struct Keys {
    first: KeyPair,
    second: KeyPair,
    stranger: KeyPair,
}

impl Keys {
    /// The issuer's own key and its name.
    fn own(&self, habits: &Habits) -> (&'static str, &KeyPair) {
        if habits.has_another_key { ("second", &self.second) } else { ("own", &self.first) }
    }
}

impl Issuer {
    /// An honest one.
    pub async fn start() -> Self {
        let habits = Arc::new(Mutex::new(Habits::default()));
        let key = || KeyPair::generate().expect("a key");
        let keys = Keys { first: key(), second: key(), stranger: key() };
        let kept = habits.clone();
        let server = Server::start(move |base, asked| {
            answer(base, &asked, &mut kept.lock().expect("no holder panics"), &keys)
        });
        Self { server: server.await, habits }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.server.base
    }

    /// A node to which it is the provider `name`.
    pub fn known_as(&self, name: &str, setup: Setup) -> Setup {
        Self::known_at(self.base(), name, setup)
    }

    /// The same for one that is at `base`.
    pub fn known_at(base: &str, name: &str, setup: Setup) -> Setup {
        setup
            .with(&format!("oauth.{name}.issuer"), base)
            .with(&format!("oauth.{name}.client_id"), CLIENT)
            .with(&format!("oauth.{name}.client_secret"), SECRET)
    }

    fn habits(&self) -> MutexGuard<'_, Habits> {
        self.habits.lock().expect("no holder panics")
    }

    /// Signs from now on as told, after `twist` has changed the claims.
    pub fn signs(&self, signature: Signature, twist: impl Fn(&mut Value) + Send + Sync + 'static) {
        let mut habits = self.habits();
        habits.signature = signature;
        habits.twist = Some(Arc::new(twist));
    }

    /// Answers nothing but errors, or does again.
    pub fn is_down(&self, is_down: bool) {
        self.habits().is_down = is_down;
    }

    /// Tells whoever brings a code to come later, or takes codes again.
    pub fn is_busy(&self, is_busy: bool) {
        self.habits().is_busy = is_busy;
    }

    /// Publishes another key in the place of its own, and signs with that.
    pub fn changes_its_key(&self) {
        self.habits().has_another_key = true;
    }

    /// Keeps who somebody is out of ID tokens; whoever asks is told of `subject`, or of the right one.
    pub fn tells_only_who_asks(&self, subject: Option<&str>) {
        let mut habits = self.habits();
        habits.only_userinfo = true;
        habits.userinfo_subject = subject.map(str::to_owned);
    }

    /// Somebody with these claims agrees to what `departure` asks; where their browser goes then.
    #[track_caller]
    pub fn agrees(&self, departure: &Url, claims: &Value) -> Url {
        assert!(departure.as_str().starts_with(&format!("{}/authorize?", self.base())));
        let asked = |name| parameter(departure, name);
        assert_eq!((asked("response_type"), asked("client_id")), ("code".into(), CLIENT.into()));
        assert!(asked("scope").split(' ').any(|scope| scope == "openid"), "{departure}");
        assert_eq!(asked("code_challenge_method"), "S256");
        assert_eq!((asked("code_challenge").len(), asked("nonce").len()), (43, 43));
        self.grants(departure, claims)
    }

    /// The same without looking.
    pub fn grants(&self, departure: &Url, claims: &Value) -> Url {
        let mut habits = self.habits();
        let back = grant(&mut habits, departure, claims);
        let mut back: Url = back.parse().expect("a URL");
        back.query_pairs_mut().append_pair("iss", self.base());
        back
    }
}

/// What a provider remembers of somebody who has agreed, and where their browser goes.
fn grant(habits: &mut Habits, departure: &Url, claims: &Value) -> String {
    habits.issued += 1;
    let code = format!("provider-code-{}", habits.issued);
    let redirect_uri = parameter(departure, "redirect_uri");
    let grant = Grant {
        challenge: parameter(departure, "code_challenge"),
        nonce: parameter(departure, "nonce"),
        redirect_uri: redirect_uri.clone(),
        claims: claims.clone(),
    };
    habits.codes.insert(code.clone(), grant);
    let mut back: Url = redirect_uri.parse().expect("a redirect URI");
    let state = parameter(departure, "state");
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &state);
    back.into()
}

fn answer(base: &str, asked: &Asked, habits: &mut Habits, keys: &Keys) -> Answer {
    if habits.is_down {
        return (503, json!("down"));
    }
    match asked.line.as_str() {
        "GET /.well-known/openid-configuration" => (200, discovery(base)),
        // As Microsoft does, for all of its tenants.
        "GET /common/v2.0/.well-known/openid-configuration" => {
            let mut discovery = discovery(base);
            discovery["issuer"] = format!("{base}/{{tenantid}}/v2.0").into();
            discovery["authorization_response_iss_parameter_supported"] = false.into();
            (200, discovery)
        }
        "GET /jwks" => (200, jwks(keys.own(habits))),
        "POST /token" if habits.is_busy => (429, json!({ "error": "slow_down" })),
        "POST /token" => match spend(asked, habits) {
            Ok(grant) => {
                let id_token = id_token(base, &grant, habits, keys);
                let access_token = URL_SAFE_NO_PAD.encode(grant.claims.to_string());
                let tokens = json!({
                    "access_token": access_token, "token_type": "Bearer", "id_token": id_token,
                });
                (200, tokens)
            }
            Err(error) => (400, json!({ "error": error })),
        },
        "GET /userinfo" => {
            let token = asked.authorization.trim_start_matches("Bearer ");
            let claims = URL_SAFE_NO_PAD.decode(token).expect("a token of ours");
            let mut claims: Value = serde_json::from_slice(&claims).expect("claims");
            if let Some(subject) = &habits.userinfo_subject {
                claims["sub"] = subject.as_str().into();
            }
            (200, claims)
        }
        _ => (404, json!({})),
    }
}

fn discovery(base: &str) -> Value {
    json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "jwks_uri": format!("{base}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn jwks((name, key): (&str, &KeyPair)) -> Value {
    let point = key.public_key_raw();
    let (x, y) = point[1..].split_at(32);
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": name,
        "x": text(x), "y": text(y),
    }] })
}

/// The grant of a code that was shown rightly, once (RFC 6749 §4.1.3, RFC 7636 §4.6).
fn spend(asked: &Asked, habits: &mut Habits) -> Result<Grant, &'static str> {
    let form: Url = format!("http://x/?{}", asked.body).parse().expect("a form");
    let field = |name| parameter(&form, name);
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let posted = field("client_id") == CLIENT && field("client_secret") == SECRET;
    if asked.authorization != basic && !posted {
        return Err("invalid_client");
    }
    let grant = habits.codes.remove(&field("code")).ok_or("invalid_grant")?;
    let digest = SecretHash::of(&field("code_verifier")).0;
    let challenged = URL_SAFE_NO_PAD.encode(digest) == grant.challenge;
    if !challenged || field("redirect_uri") != grant.redirect_uri {
        return Err("invalid_grant");
    }
    Ok(grant)
}

fn id_token(base: &str, grant: &Grant, habits: &Habits, keys: &Keys) -> String {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = if habits.only_userinfo {
        json!({ "sub": grant.claims["sub"] })
    } else {
        grant.claims.clone()
    };
    for (name, value) in [
        ("iss", json!(base)),
        ("aud", json!(CLIENT)),
        ("exp", json!(now + 300)),
        ("iat", json!(now)),
        ("nonce", json!(grant.nonce)),
    ] {
        claims[name] = value;
    }
    if let Some(twist) = &habits.twist {
        twist(&mut claims);
    }
    let (name, own) = keys.own(habits);
    let named = |algorithm| Header { kid: Some(name.into()), ..Header::new(algorithm) };
    let signed = |header: &Header, key: &EncodingKey| encode(header, &claims, key).expect("a JWT");
    let of = |key: &KeyPair| EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).expect("PEM");
    match habits.signature {
        Signature::Own => signed(&named(Algorithm::ES256), &of(own)),
        Signature::Stranger => signed(&named(Algorithm::ES256), &of(&keys.stranger)),
        Signature::Secret => {
            let key = EncodingKey::from_secret(SECRET.as_bytes());
            signed(&Header::new(Algorithm::HS256), &key)
        }
        Signature::Cut => {
            let whole = signed(&named(Algorithm::ES256), &of(own));
            format!("{}.", whole.rsplit_once('.').expect("a JWT").0)
        }
        Signature::None => {
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
            format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
        }
    }
}

/// Something like GitHub: OAuth 2 without OpenID Connect, and an API that says who somebody is.
pub struct GitHub {
    server: Server,
    habits: Arc<Mutex<Habits>>,
}

impl GitHub {
    /// A running one.
    pub async fn start() -> Self {
        let habits = Arc::new(Mutex::new(Habits::default()));
        let kept = habits.clone();
        let server = Server::start(move |_, asked| {
            let habits = &mut kept.lock().expect("no holder panics");
            match asked.line.as_str() {
                // It says no with status 200.
                "POST /login/oauth/access_token" => match spend(&asked, habits) {
                    Ok(grant) => {
                        let token = URL_SAFE_NO_PAD.encode(grant.claims.to_string());
                        (200, json!({ "access_token": token, "token_type": "bearer" }))
                    }
                    Err("invalid_grant") => (200, json!({ "error": "bad_verification_code" })),
                    Err(error) => (200, json!({ "error": error })),
                },
                "GET /api/v3/user" => (200, person(&asked)["user"].clone()),
                "GET /api/v3/user/emails" => match &person(&asked)["emails"] {
                    Value::Null => (404, json!({ "message": "Not Found" })),
                    emails => (200, emails.clone()),
                },
                _ => (404, json!({})),
            }
        });
        Self { server: server.await, habits }
    }

    /// A node to which it is GitHub.
    pub fn known(&self, setup: Setup) -> Setup {
        setup
            .with("oauth.github.base_url", &self.server.base)
            .with("oauth.github.client_id", CLIENT)
            .with("oauth.github.client_secret", SECRET)
    }

    /// Somebody of whom the API says `{user, emails}` agrees; where their browser goes then.
    pub fn agrees(&self, departure: &Url, person: &Value) -> Url {
        let authorize = format!("{}/login/oauth/authorize?", self.server.base);
        assert!(departure.as_str().starts_with(&authorize), "{departure}");
        assert_eq!(parameter(departure, "code_challenge_method"), "S256");
        let back = grant(&mut self.habits.lock().expect("no holder panics"), departure, person);
        back.parse().expect("a URL")
    }
}

fn person(asked: &Asked) -> Value {
    let token = asked.authorization.trim_start_matches("Bearer ");
    let bytes = URL_SAFE_NO_PAD.decode(token).expect("a token of ours");
    serde_json::from_slice(&bytes).expect("a person")
}
