//! API keys, changed by whoever was found to hold all that they may do, and what is decided by them.

use std::time::Duration;

use super::{START, TENANT, World, email, signed_in, user};
use crate::capability::api_keys::{
    self, ApiKey, ApiKeyKind, ByKey, Create, Judged, Revoke, Rotate, Update,
};
use crate::capability::users::{self, Action, Actor, Import, Manage, Newcomer};
use crate::command::{Command, Outcome, Rejection, Reply};
use crate::ids::ApiKeyId;
use crate::keys::{self, Kind};
use crate::secret::SecretHash;

fn id() -> ApiKeyId {
    ApiKeyId::new(1, 1)
}

fn update(scopes: &[&str]) -> api_keys::Command {
    let scopes = Some(scopes.iter().map(|scope| (*scope).into()).collect());
    let update = Update { id: id(), name: None, scopes, expires: None, rate_limit: None };
    api_keys::Command::Update(Box::new(update))
}

/// Another secret of the key, after which the one before works on for this long.
fn rotate(number: u8, grace_ms: u64) -> api_keys::Command {
    let (hash, prefix) = (SecretHash([number; 32]), "jsk_1".into());
    api_keys::Command::Rotate(Box::new(Rotate { id: id(), hash, prefix, grace_ms }))
}

fn revoke() -> api_keys::Command {
    api_keys::Command::Revoke(Revoke { id: id() })
}

/// A key that expires after an hour, with one secret.
fn key(scopes: &[&str]) -> ApiKey {
    ApiKey {
        id: id(),
        kind: ApiKeyKind::Secret,
        name: "Key".into(),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        hash: SecretHash([1; 32]),
        created: START,
        expires: Some(START.after(Duration::from_secs(3600))),
        rate_limit: None,
    }
}

fn import(number: u8) -> Command {
    let newcomer = Newcomer {
        id: user(number),
        email: email(number),
        email_verified: false,
        first_name: None,
        last_name: None,
        phone_number: None,
        phone_verified: false,
        avatar: None,
        metadata: "{}".into(),
        password: None,
    };
    let import = Import { newcomers: vec![newcomer], by: Actor::ApiKey(id()) };
    Command::Users(users::Command::Import(Box::new(import)))
}

impl World {
    fn with_key(scopes: &[&str]) -> Self {
        let mut world = Self::new();
        world.records.insert(keys::single(TENANT, Kind::Tenant), Vec::new());
        let create = Create { key: key(scopes), prefix: "jsk_1".into() };
        let create = Command::ApiKeys(api_keys::Command::Create(Box::new(create)));
        assert!(matches!(world.propose(create), Ok(Reply::ApiKey(_))));
        world
    }

    /// What somebody decides by the key, as they were found to hold these scopes by this secret.
    fn by_key(&mut self, secret: u8, scopes: &[&str], command: Command) -> Outcome {
        let scopes = scopes.iter().map(|scope| (*scope).into()).collect();
        let by_key = ByKey { hash: SecretHash([secret; 32]), scopes, command };
        self.propose(Command::ByKey(Box::new(by_key)))
    }

    fn judged(&mut self, scopes: &[&str], change: api_keys::Command) -> Outcome {
        let scopes = scopes.iter().map(|scope| (*scope).into()).collect();
        let judged = Judged { id: id(), scopes, change };
        self.propose(Command::ApiKeys(api_keys::Command::Judged(Box::new(judged))))
    }
}

#[test]
fn a_key_is_changed_only_while_it_may_do_what_was_judged() {
    let mut world = World::with_key(&["users:read"]);
    // Somebody who holds more has widened it between the judgement and the change.
    assert!(matches!(world.judged(&["users:read"], update(&["*"])), Ok(Reply::ApiKey(_))));
    for change in [update(&["users:read"]), rotate(2, 1), revoke()] {
        assert_eq!(world.judged(&["users:read"], change), Err(Rejection::Stale));
    }
    assert!(matches!(world.judged(&["*"], rotate(2, 1)), Ok(Reply::ApiKey(_))));
    assert_eq!(world.judged(&["*"], revoke()), Ok(Reply::Done));
    assert_eq!(world.judged(&["*"], revoke()), Err(Rejection::NotFound));
}

#[test]
fn what_a_key_decides_is_done_while_the_key_is_good_for_it() {
    let mut world = World::with_key(&["users:write"]);
    let imported = Ok(Reply::Imported(vec![true]));
    assert_eq!(world.by_key(1, &["users:write"], import(1)), imported);
    // Whoever may do more than they were found to hold may do that as well.
    assert!(world.propose(Command::ApiKeys(update(&["users:write", "users:read"]))).is_ok());
    assert_eq!(world.by_key(1, &["users:write"], import(2)), imported);
    // A secret that works on for a while after it was rotated is as good as the new one.
    assert!(world.propose(Command::ApiKeys(rotate(2, 60_000))).is_ok());
    for (secret, newcomer) in [(1, 3), (2, 4)] {
        assert_eq!(world.by_key(secret, &["users:write"], import(newcomer)), imported);
    }
    // A key may be the last thing that is revoked by it.
    assert_eq!(world.by_key(2, &["users:write"], Command::ApiKeys(revoke())), Ok(Reply::Done));
}

#[test]
fn what_a_key_decides_comes_to_nothing_once_it_is_void() {
    type End = fn(&mut World);
    let ends: [(&str, End); 4] = [
        ("revoked", |world| drop(world.propose(Command::ApiKeys(revoke())))),
        ("expired", |world| world.pass(Duration::from_secs(3600))),
        ("rotated, a while ago", |world| {
            assert!(world.propose(Command::ApiKeys(rotate(2, 60_000))).is_ok());
            world.pass(Duration::from_secs(60));
        }),
        ("rotated twice", |world| {
            assert!(world.propose(Command::ApiKeys(rotate(2, 60_000))).is_ok());
            assert!(world.propose(Command::ApiKeys(rotate(3, 60_000))).is_ok());
        }),
    ];
    for (how, end) in ends {
        let mut world = World::with_key(&["*"]);
        signed_in(world.register(1));
        end(&mut world);
        let before = world.events();
        let manage = |action| {
            let manage = Manage { user: user(1), action, by: Actor::ApiKey(id()) };
            Command::Users(users::Command::Manage(manage))
        };
        let create = Create { key: key(&["*"]), prefix: "jsk_1".into() };
        for command in [
            Command::ApiKeys(api_keys::Command::Create(Box::new(create))),
            Command::ApiKeys(rotate(4, 0)),
            import(2),
            manage(Action::Suspend),
            manage(Action::Remove),
        ] {
            assert_eq!(world.by_key(1, &["*"], command), Err(Rejection::InvalidToken), "{how}");
        }
        assert_eq!(world.events(), before, "{how}");
    }
}

#[test]
fn a_key_that_may_do_less_by_now_is_asked_anew() {
    let mut world = World::with_key(&["*"]);
    assert!(world.propose(Command::ApiKeys(update(&["users:read"]))).is_ok());
    assert_eq!(world.by_key(1, &["*"], import(1)), Err(Rejection::Stale));
    assert_eq!(world.view().user_by_email(&email(1)).expect("no fault"), None);
}
