//! One of every record and command ever written, in `golden/`. What is there must decode for ever;
//! what is written today must be there. To add a line, run the test: it prints what is missing.

mod factors;
mod mail;
mod managed;
mod providers;
mod terms;
mod ways;

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::capability::api_keys::{ApiKey, ApiKeyKind, Rotate, Usage};
use crate::capability::audit::{Epoch, Head};
use crate::capability::cluster::{self, Announce, Join, Node, NodeState, Version};
use crate::capability::mfa::{Entry, Pending};
use crate::capability::oauth::{Exchange, Redeem};
use crate::capability::passwords::{Enter, Fail, Lockout, LockoutPolicy, Password};
use crate::capability::sessions::{
    AccessGrant, EndAll, EndReason, Ended, HandOver, HandedOver, Method, RefreshToken, Rotation,
    Session, Start,
};
use crate::capability::tenants::{
    Algorithm, Cause, Cluster, Configure, Reserve, Restart, SigningKey, Tenant, Unsettled,
};
use crate::capability::users::{Device, Profile, Register, Status, User};
use crate::capability::{api_keys, oauth, passwords, sessions, tenants, users};
use crate::codec;
use crate::command::{Command, Proposal, Reply};
use crate::event::{Detail, Event, EventKind, Origin, Personal};
use crate::idempotency::{Record, Ticket};
use crate::ids::{ApiKeyId, DeviceId, EventId, SessionId, TenantId, TenantNumber, UserId};
use crate::moment::Moment;
use crate::one_time::{Content, OneTime};
use crate::seal::{Key, Sealed};
use crate::secret::SecretHash;

const GOLDEN: &str = include_str!("../golden/v1.txt");
const NOW: Moment = Moment(1_736_937_000_000);

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    name: &str,
    value: &T,
) -> Option<String> {
    let written = hex(&codec::encode(value).expect("encodes"));
    let mut found = false;
    for line in GOLDEN.lines() {
        if let Some(kept) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')) {
            let decoded: T = codec::decode(&unhex(kept)).expect("decodes for ever");
            found |= decoded == *value && kept == written;
        }
    }
    (!found).then(|| format!("{name} {written}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn sealed() -> Sealed {
    Key::new([1; 32]).seal([2; 12], b"golden", b"secret").expect("sealing")
}

fn origin() -> Origin {
    Origin { ip_address: Some("192.0.2.1".into()), user_agent: Some("golden/1".into()) }
}

fn user() -> User {
    User {
        profile: Profile {
            id: UserId::new(1, 2),
            email: "user@example.com".into(),
            first_name: Some("John".into()),
            last_name: None,
            email_verified: true,
            phone_number: Some("+1234567890".into()),
            phone_verified: false,
            avatar: None,
            mfa_enabled: false,
            created: NOW,
            last_active: NOW,
            metadata: "{}".into(),
        },
        password: Some(Password { phc: "$argon2id$".into(), generation: 1, changed: NOW }),
        status: Status::Suspended,
        devices: vec![Device { id: DeviceId::new(1, 3), fingerprint: [4; 16], last_seen: NOW }],
        sessions: 1,
    }
}

fn start() -> Start {
    Start {
        session: SessionId::new(1, 5),
        device: DeviceId::new(1, 3),
        fingerprint: [4; 16],
        origin: origin(),
        token: SecretHash([6; 32]),
        access: AccessGrant { token_id: [7; 16], ttl_ms: 3_600_000 },
        ttl_ms: 604_800_000,
        most: 200,
    }
}

fn session() -> Session {
    Session {
        id: SessionId::new(1, 5),
        user: UserId::new(1, 2),
        device: DeviceId::new(1, 3),
        origin: origin(),
        methods: vec![Method::Password],
        created: NOW,
        last_active: NOW,
        expires: NOW,
        token: SecretHash([6; 32]),
        generation: 1,
        rotation: Some(Rotation { predecessor: SecretHash([5; 32]), at: NOW, successor: sealed() }),
    }
}

fn tenant() -> Tenant {
    Tenant {
        id: TenantId::default_tenant(),
        number: TenantNumber::DEFAULT,
        name: "Default".into(),
        slug: "default".into(),
        created: NOW,
        settings: "{}".into(),
        revision: 1,
        key: sealed(),
        signing_key: 1,
    }
}

fn event() -> Event {
    Event {
        id: EventId::new(1, 8),
        sequence: 1,
        kind: EventKind::LoginFailed,
        user: None,
        time: NOW,
        ip_address: Some(Personal::Kept("192.0.2.1".into())),
        user_agent: Some(Personal::Erased([9; 32])),
        details: vec![("method".into(), Detail::Text("password".into())), ("n".into(), 3.into())],
        salt: Some([1; 16]),
        hash: [2; 32],
    }
}

fn proposal(command: Command) -> Proposal {
    let ticket =
        Ticket { digest: [1; 32], request: [2; 32], secrets: Some(sealed()), expires: NOW };
    Proposal {
        tenant: TenantNumber::DEFAULT,
        proposed: NOW,
        seed: [3; 32],
        origin: origin(),
        idempotency: Some(ticket),
        command,
    }
}

fn register() -> Command {
    Command::Users(users::Command::Register(Box::new(Register {
        id: UserId::new(1, 2),
        email: "user@example.com".into(),
        first_name: Some("John".into()),
        last_name: None,
        metadata: "{}".into(),
        password: "$argon2id$".into(),
        start: Some(start()),
    })))
}

fn fail() -> Command {
    let minutes = std::time::Duration::from_secs(900);
    let policy = LockoutPolicy { attempts: 5, window: minutes, duration: minutes };
    let email = "user@example.com".into();
    Command::Passwords(passwords::Command::Fail(Fail { email, user: None, policy }))
}

fn entry() -> Entry {
    Entry { start: start(), temp_token: SecretHash([8; 32]), temp_ttl_ms: 300_000 }
}

fn enter() -> Command {
    let enter = Enter { user: UserId::new(1, 2), verified: 1, rehashed: None, entry: entry() };
    Command::Passwords(passwords::Command::Enter(Box::new(enter)))
}

fn redeem() -> Command {
    let redeem = Redeem { code: SecretHash([9; 32]), entry: entry() };
    Command::Oauth(oauth::Command::Redeem(Box::new(redeem)))
}

fn one_time(content: Content) -> OneTime {
    OneTime { content, expires: NOW, used: Some(NOW) }
}

fn pending() -> Content {
    let (user, first) = (UserId::new(1, 2), Method::Password);
    Content::Pending(Pending { user, first, guesses: 1, password: Some(1) })
}

fn exchange() -> Content {
    let (user, method) = (UserId::new(1, 2), Method::MagicLink);
    Content::Exchange(Exchange {
        user,
        method,
        is_new_user: false,
        provider: Some("google".into()),
    })
}

fn hand_over() -> Command {
    let (user, session) = (UserId::new(1, 2), SessionId::new(1, 5));
    let hand_over = HandOver { user, session, code: SecretHash([9; 32]) };
    Command::Sessions(sessions::Command::HandOver(hand_over))
}

fn handed_over() -> Content {
    let (user, session) = (UserId::new(1, 2), SessionId::new(1, 5));
    Content::HandedOver(HandedOver { user, session })
}

fn configure() -> Command {
    let configure = Configure { revision: 1, settings: "{}".into() };
    Command::Tenants(tenants::Command::Configure(configure))
}

fn api_key() -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(1, 4),
        kind: ApiKeyKind::Secret,
        name: "Bootstrap".into(),
        scopes: vec!["*".into()],
        hash: SecretHash([5; 32]),
        created: NOW,
        expires: None,
        rate_limit: None,
    }
}

fn unsettled() -> Unsettled {
    let (id, number) = (TenantId::new(1, 2), TenantNumber(2));
    Unsettled { id, number, slug: "acme".into(), since: NOW, leaving: true }
}

fn reserve() -> Command {
    let reserve = Reserve { id: TenantId::new(1, 2), slug: "acme".into() };
    Command::Tenants(tenants::Command::Reserve(reserve))
}

fn restart() -> Command {
    let restart = Restart { key: signing_key(), cause: Cause::Restored };
    Command::Tenants(tenants::Command::Restart(Box::new(restart)))
}

fn end_all() -> Command {
    let all = EndAll { reason: EndReason::Restored, most: 500 };
    Command::Sessions(sessions::Command::EndAll(all))
}

fn rotate_api_key() -> Command {
    let (id, hash) = (ApiKeyId::new(1, 4), SecretHash([5; 32]));
    let rotate = Rotate { id, hash, prefix: "jsk_1_abcdef".into(), grace_ms: 1 };
    Command::ApiKeys(api_keys::Command::Rotate(Box::new(rotate)))
}

fn signing_key() -> SigningKey {
    SigningKey {
        number: 1,
        kid: "1.1.abc".into(),
        algorithm: Algorithm::ES256,
        created: NOW,
        retires: None,
        private: sealed(),
        public: Some("{}".into()),
    }
}

fn node() -> Node {
    Node {
        id: 2,
        name: "node-2".into(),
        http_address: "127.0.0.1:3000".into(),
        cluster_address: "127.0.0.1:7000".into(),
        state: NodeState::Draining,
        version: Version { protocol: 1, data: 1 },
        incarnation: 3,
        joined: NOW,
        ticket: Some(SecretHash([1; 32])),
    }
}

fn join() -> Command {
    let node = node();
    Command::Cluster(cluster::Command::Join(Box::new(Join {
        name: node.name,
        http_address: node.http_address,
        cluster_address: node.cluster_address,
        version: node.version,
        ticket: SecretHash([1; 32]),
        replace: true,
    })))
}

fn announce() -> Command {
    let node = node();
    Command::Cluster(cluster::Command::Announce(Box::new(Announce {
        id: node.id,
        name: node.name,
        http_address: node.http_address,
        cluster_address: node.cluster_address,
        version: node.version,
        incarnation: node.incarnation,
    })))
}

#[test]
fn everything_ever_written_is_read() {
    let id = UserId::new(1, 2);
    let token = RefreshToken { user: id, session: SessionId::new(1, 5), generation: 1 };
    let lockout = Lockout { failures: vec![NOW], locked_until: None, expires: NOW };
    let ended = Ended { reason: EndReason::LoggedOut, token: SecretHash([6; 32]), expires: NOW };
    let cluster = Cluster { id: [1; 16], founded: NOW, operator_token: SecretHash([2; 32]) };
    let ticket = Ticket { digest: [1; 32], request: [2; 32], secrets: None, expires: NOW };
    let missing: Vec<String> = [
        check("user", &user()),
        check("session", &session()),
        check("refresh-token", &token),
        check("ended", &ended),
        check("lockout", &lockout),
        check("tenant", &tenant()),
        check("signing-key", &signing_key()),
        check("api-key", &api_key()),
        check("cluster", &cluster),
        check("events", &vec![event()]),
        check("audit-head", &Head { sequence: 1, hash: [2; 32] }),
        check("idempotency", &Record::new(ticket, Ok(Reply::Count(3)))),
        check("proposal-register", &proposal(register())),
        check("proposal-fail", &proposal(fail())),
        check("proposal-configure", &proposal(configure())),
        check("node", &node()),
        check("proposal-join", &proposal(join())),
        check("proposal-announce", &proposal(announce())),
        check("proposal-remove", &proposal(Command::Cluster(cluster::Command::Remove(2)))),
        check("proposal-enter", &proposal(enter())),
        check("proposal-redeem", &proposal(redeem())),
        check("one-time-pending", &one_time(pending())),
        check("one-time-exchange", &one_time(exchange())),
        check("api-key-use", &Usage { prefix: "jsk_1_abcdef".into(), last_used: Some(NOW) }),
        check("audit-epoch", &Epoch { number: 2, opened: NOW }),
        check("unsettled", &unsettled()),
        check("proposal-reserve", &proposal(reserve())),
        check("proposal-restart", &proposal(restart())),
        check("proposal-end-all", &proposal(end_all())),
        check("proposal-api-key-rotate", &proposal(rotate_api_key())),
        check("proposal-hand-over", &proposal(hand_over())),
        check("one-time-handed-over", &one_time(handed_over())),
    ]
    .into_iter()
    .chain(factors::checks())
    .chain(managed::checks())
    .chain(mail::checks())
    .chain(providers::checks())
    .chain(ways::checks())
    .chain(terms::checks())
    .flatten()
    .collect();
    assert!(missing.is_empty(), "not in golden/v1.txt:\n{}", missing.join("\n"));
}
