//! What three nodes do in a second: durable refreshes beside an etcd of three, `GET /users/me` through
//! a node that does not own the tenant beside the one that does, logins beside bare Argon2id.

use super::super::clients::{Login, Me};
use super::super::login::{USERS, bare_argon2, cores};
use super::super::refresh::beside;
use super::super::{CONNECTIONS, sessions, users};
use super::{everywhere, only, three};
use crate::Effort;
use crate::etcd::Etcd;
use crate::load::{Measured, Pace, Target, run_on};
use crate::table::{Table, spread};

/// Measures the row of refresh.
pub async fn refresh(effort: Effort, table: &mut Table) {
    let Some(etcd) = Etcd::of(3).await else {
        eprintln!("etcd cannot be had: the row is left out");
        return;
    };
    let cluster = three().await;
    let sessions = sessions(cluster.node(1), CONNECTIONS).await;
    let [ours, theirs, ratio] = beside(&etcd, &everywhere(&cluster), sessions, effort).await;
    let floor = "0.85 of an etcd of three (aim 1.5)";
    table.add("three nodes: `POST /auth/refresh`, 64 connections", ours, theirs, ratio, floor);
}

/// Measures the row of `GET /users/me`.
pub async fn me(effort: Effort, table: &mut Table) {
    let cluster = three().await;
    let owner = cluster.leader_of_the_default_tenant().await;
    let other = if owner == 1 { 2 } else { 1 };
    let sessions = sessions(cluster.node(owner), CONNECTIONS).await;
    let clients =
        || sessions.iter().map(|session| Me::with(vec![session.access_token.clone()])).collect();
    let (mut ratios, mut ours, mut theirs) = (vec![], String::new(), String::new());
    for _ in 0..effort.rounds {
        let asked =
            async |target: Target| run_on(&target, clients(), effort.time, Pace::Flat).await;
        let (at_owner, _) = asked(only(&cluster, owner)).await;
        let (at_other, _) = asked(only(&cluster, other)).await;
        assert_eq!((at_owner.bad, at_other.bad), (0, 0), "every request is accepted");
        ratios.push(at_other.rate() / at_owner.rate());
        (ours, theirs) = (at_other.summary(), at_owner.summary());
    }
    let work = "three nodes: `GET /users/me` at a node that does not own the tenant";
    table.add(work, ours, format!("at the owner: {theirs}"), spread(&ratios), "0.35");
}

/// Measures the rows of login: with clients at every node, and with all of them at one that does not
/// own the tenant.
pub async fn login(effort: Effort, table: &mut Table) {
    let cluster = three().await;
    let owner = cluster.leader_of_the_default_tenant().await;
    let other = if owner == 1 { 2 } else { 1 };
    let users = users(cluster.node(owner), USERS).await;
    let users: Vec<_> = users.into_iter().map(|user| (user.email, user.password)).collect();
    let places =
        [("every node", everywhere(&cluster)), ("one that does not own", only(&cluster, other))];
    for (place, target) in places {
        let clients = |turn: usize| {
            (0..cores() * 4).map(|number| Login::new(users.clone(), number + turn)).collect()
        };
        let (mut ratios, mut ours, mut theirs) = (vec![], String::new(), String::new());
        for round in 0..effort.rounds {
            let reference = tokio::task::block_in_place(|| bare_argon2(effort.time));
            let measured: Measured =
                run_on(&target, clients(round * 13), effort.time, Pace::Flat).await.0;
            assert_eq!(measured.bad, 0, "every login fits");
            ratios.push(measured.rate() / reference);
            ours = measured.summary();
            theirs = format!("{reference:.1} verifications/s on {} cores", cores());
        }
        let work = format!("three nodes: `POST /auth/login`, clients at {place}");
        table.add(&work, ours, theirs, spread(&ratios), "0.90");
    }
}
