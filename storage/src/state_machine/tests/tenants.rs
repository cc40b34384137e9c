//! Tenants that come, go, and begin anew.

use super::*;
use crate::capability::sessions::{EndAll, EndReason};
use crate::capability::tenants::{self, Delist, Enlist, Erase, Forget, Reserve};
use crate::ids::TenantId;

const CLUSTER: TenantNumber = TenantNumber::CLUSTER;

fn id(name: &str) -> TenantId {
    name.parse().expect("an id")
}

impl World {
    fn directory(&mut self, command: tenants::Command) -> Outcome {
        self.propose_for(CLUSTER, Command::Tenants(command))
    }

    fn reserve(&mut self, name: &str) -> Outcome {
        self.reserve_as(&format!("ten_{name}"), name)
    }

    fn reserve_as(&mut self, name: &str, slug: &str) -> Outcome {
        let reserve = Reserve { id: id(name), slug: slug.into() };
        self.directory(tenants::Command::Reserve(reserve))
    }

    fn delist(&mut self, name: &str) -> Outcome {
        let delist = Delist { id: id(&format!("ten_{name}")), slug: name.into() };
        self.directory(tenants::Command::Delist(delist))
    }

    fn forget(&mut self, number: TenantNumber) -> Outcome {
        self.directory(tenants::Command::Forget(Forget { number }))
    }

    fn enlist(&mut self, name: &str, number: TenantNumber) -> Outcome {
        let enlist = Enlist { id: id(&format!("ten_{name}")), number };
        self.directory(tenants::Command::Enlist(enlist))
    }

    fn known(&self) -> Vec<String> {
        let known = View::new(&self.records, CLUSTER).directory().expect("a directory");
        known.into_iter().map(|(id, _)| id.to_string()).collect()
    }
}

#[test]
fn a_tenant_is_known_once_it_is_enlisted_and_not_before() {
    let mut world = World::new();
    assert_eq!(world.reserve("acme"), Ok(Reply::Tenant(TenantNumber(2))));
    assert_eq!(world.reserve("acme"), Err(Rejection::SlugTaken));
    assert!(world.known().is_empty());
    assert_eq!(world.enlist("other", TenantNumber(2)), Err(Rejection::NotFound));
    for _ in 0..2 {
        assert_eq!(
            world.enlist("acme", TenantNumber(2)),
            Ok(Reply::Done),
            "a step can be repeated"
        );
    }
    assert_eq!(world.known(), ["ten_acme"]);
    assert!(View::new(&world.records, CLUSTER).unsettled().expect("a list").is_empty());
}

#[test]
fn a_name_is_free_again_once_its_tenant_is_forgotten_and_a_number_never() {
    let mut world = World::new();
    world.reserve("acme").expect("a number");
    world.enlist("acme", TenantNumber(2)).expect("a tenant");
    assert_eq!(world.delist("acme"), Ok(Reply::Tenant(TenantNumber(2))));
    assert_eq!(world.delist("acme"), Err(Rejection::NotFound));
    assert!(world.known().is_empty());
    assert_eq!(world.reserve("acme"), Err(Rejection::SlugTaken), "its records are still there");
    assert_eq!(world.enlist("acme", TenantNumber(2)), Err(Rejection::NotFound), "it is leaving");
    assert_eq!(world.forget(TenantNumber(2)), Ok(Reply::Done));
    assert_eq!(world.reserve("acme"), Ok(Reply::Tenant(TenantNumber(3))));
}

#[test]
fn an_id_belongs_to_one_tenant_from_its_reservation_until_it_is_forgotten() {
    let mut world = World::new();
    world.reserve_as("ten_acme", "acme").expect("a number");
    for (name, slug) in [("ten_acme", "other"), ("other", "acme"), ("acme", "other")] {
        assert_eq!(world.reserve_as(name, slug), Err(Rejection::SlugTaken), "{name} {slug}");
    }
    world.enlist("acme", TenantNumber(2)).expect("a tenant");
    assert_eq!(world.reserve_as("ten_acme", "other"), Err(Rejection::SlugTaken));
    world.delist("acme").expect("a number");
    assert_eq!(world.reserve_as("ten_acme", "other"), Err(Rejection::SlugTaken), "it is leaving");
    world.forget(TenantNumber(2)).expect("a forgotten tenant");
    world.reserve_as("plain", "other").expect("a number");
    assert_eq!(world.reserve_as("ten_acme", "plain"), Err(Rejection::SlugTaken));
    world.reserve_as("ten_acme", "acme").expect("a number");
}

#[test]
fn an_id_that_is_enlisted_leads_to_no_other_tenant() {
    let mut world = World::new();
    world.reserve("acme").expect("a number");
    world.enlist("acme", TenantNumber(2)).expect("a tenant");
    assert_eq!(world.enlist("acme", TenantNumber(3)), Err(Rejection::SlugTaken));
}

#[test]
fn a_reservation_that_was_given_up_enlists_nobody() {
    let mut world = World::new();
    world.reserve("acme").expect("a number");
    world.forget(TenantNumber(2)).expect("a forgotten tenant");
    assert_eq!(world.enlist("acme", TenantNumber(2)), Err(Rejection::NotFound));
}

#[test]
fn erasing_takes_a_tenant_whole_and_nobody_elses_records() {
    let mut world = World::new();
    for number in 0..5 {
        world.register(number).expect("a user");
    }
    let other = TenantNumber(17);
    let lockout = passwords::Command::Fail(Fail { email: email(0), user: None, policy: POLICY });
    world.propose_for(other, Command::Passwords(lockout)).expect("a wrong guess");
    let of_other = |world: &World| {
        world.records.keys().filter(|key| key.starts_with(&keys::all_of(other))).count()
    };
    let kept = of_other(&world);
    let erase = || Command::Tenants(tenants::Command::Erase(Erase { most: 3 }));
    let mut rounds = 0;
    while world.propose(erase()) == Ok(Reply::Count(3)) {
        rounds += 1;
        // What lets anybody in is gone before the rest.
        let sessions = keys::range(TENANT, Kind::Session);
        let left = world.records.keys().any(|key| key.starts_with(&sessions));
        assert!(rounds < 2 || !left, "a session is left after {rounds} rounds");
    }
    assert!(!world.records.keys().any(|key| key.starts_with(&keys::all_of(TENANT))));
    assert_eq!(of_other(&world), kept);
    let all = world.propose_for(CLUSTER, erase());
    assert_eq!(all, Err(Rejection::NotFound), "the cluster's own records are no tenant's");
}

#[test]
fn after_a_restore_every_session_has_ended_and_the_chain_is_whole() {
    let mut world = World::new();
    for number in 0..5 {
        world.register(number).expect("a user");
    }
    let end_all = || {
        let all = EndAll { reason: EndReason::Restored, most: 2 };
        Command::Sessions(sessions::Command::EndAll(all))
    };
    let counts: Vec<_> = (0..4).map(|_| world.propose(end_all())).collect();
    assert_eq!(counts, [2, 2, 1, 0].map(|count| Ok(Reply::Count(count))));
    for number in 0..5 {
        let view = View::new(&world.records, TENANT);
        assert!(view.sessions(user(number)).expect("a list").is_empty());
        let user = view.user(user(number)).expect("a view").expect("a user");
        assert_eq!(user.sessions, 0);
    }
    assert_eq!(audit::verify(&world.records, TENANT).expect("a walk").first_invalid, None);
}
