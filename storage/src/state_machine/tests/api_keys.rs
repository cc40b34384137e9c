//! API keys, changed by whoever was found to hold all that they may do.

use super::{START, TENANT, World};
use crate::capability::api_keys::{
    self, ApiKey, ApiKeyKind, Create, Judged, Revoke, Rotate, Update,
};
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

impl World {
    fn judged(&mut self, scopes: &[&str], change: api_keys::Command) -> Outcome {
        let scopes = scopes.iter().map(|scope| (*scope).into()).collect();
        let judged = Judged { id: id(), scopes, change };
        self.propose(Command::ApiKeys(api_keys::Command::Judged(Box::new(judged))))
    }
}

#[test]
fn a_key_is_changed_only_while_it_may_do_what_was_judged() {
    let mut world = World::new();
    world.records.insert(keys::single(TENANT, Kind::Tenant), Vec::new());
    let key = ApiKey {
        id: id(),
        kind: ApiKeyKind::Secret,
        name: "Key".into(),
        scopes: vec!["users:read".into()],
        hash: SecretHash([1; 32]),
        created: START,
        expires: None,
        rate_limit: None,
    };
    let create = Create { key, prefix: "jsk_1".into() };
    let create = Command::ApiKeys(api_keys::Command::Create(Box::new(create)));
    assert!(matches!(world.propose(create), Ok(Reply::ApiKey(_))));
    // Somebody who holds more has widened it between the judgement and the change.
    assert!(matches!(world.judged(&["users:read"], update(&["*"])), Ok(Reply::ApiKey(_))));
    let hash = SecretHash([2; 32]);
    let rotate = Rotate { id: id(), hash, prefix: "jsk_1".into(), grace_ms: 1 };
    for change in [
        update(&["users:read"]),
        api_keys::Command::Rotate(Box::new(rotate.clone())),
        api_keys::Command::Revoke(Revoke { id: id() }),
    ] {
        assert_eq!(world.judged(&["users:read"], change), Err(Rejection::Stale));
    }
    let rotate = api_keys::Command::Rotate(Box::new(rotate));
    assert!(matches!(world.judged(&["*"], rotate), Ok(Reply::ApiKey(_))));
    let revoke = || api_keys::Command::Revoke(Revoke { id: id() });
    assert_eq!(world.judged(&["*"], revoke()), Ok(Reply::Done));
    assert_eq!(world.judged(&["*"], revoke()), Err(Rejection::NotFound));
}
