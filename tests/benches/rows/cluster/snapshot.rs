//! `GET /users/me` of one tenant while the snapshot of another, which has very many users, is taken,
//! sent and installed: a node has lost its disk and joins anew in its own place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use janua_tests::cluster::{Cluster, OPERATOR_TOKEN};
use janua_tests::node::{Api, answer};
use reqwest::Method;
use serde_json::json;

use super::super::clients::Me;
use super::super::sessions;
use super::{only, three};
use crate::Effort;
use crate::load::{Measured, Pace, run_on};
use crate::table::Table;

/// Users of one request.
const AT_ONCE: usize = 20_000;
/// Clients, and how often each of them asks: far from what the machine can do, so that what is
/// measured is not the load's own queue.
const CLIENTS: usize = 16;
const EVERY: Duration = Duration::from_millis(10);
/// How often it is said how far it is.
const ROUND: Duration = Duration::from_secs(1);

/// A tenant whose shard is not the default tenant's, with so many users.
async fn crowded_tenant(api: &Api, users: usize) {
    let made = api.request(Method::POST, "/admin/tenants").bearer_auth(OPERATOR_TOKEN);
    let made = answer(made.json(&json!({ "id": "crowd", "slug": "crowd", "name": "Crowd" }))).await;
    let key = made.is_yes(201).text_of("secretKey");
    let line = |number: usize| format!("{{\"email\":\"crowd-{number}@example.com\"}}\n");
    for begin in (0..users).step_by(AT_ONCE) {
        let body: String = (begin..users.min(begin + AT_ONCE)).map(line).collect();
        let request = api.request(Method::POST, "/users/import").header("X-API-Key", &key);
        let request = request.header("Content-Type", "application/x-ndjson").body(body);
        answer(request.timeout(Duration::from_secs(600))).await.is_yes(200);
    }
}

async fn asked(cluster: &Cluster, owner: usize, tokens: &[String], time: Duration) -> Measured {
    let clients = tokens.iter().map(|token| Me::with(vec![token.clone()])).collect();
    let (measured, _) = run_on(&only(cluster, owner), clients, time, Pace::Every(EVERY)).await;
    assert_eq!(measured.bad, 0, "every request is accepted");
    measured
}

/// Measures the row.
pub async fn measure(effort: Effort, table: &mut Table) {
    let cluster = three().await;
    crowded_tenant(&cluster.node(1).api, effort.users).await;
    cluster.is_settled().await;
    let owner = cluster.leader_of_the_default_tenant().await;
    let victim = if owner == 3 { 2 } else { 3 };
    let sessions = sessions(cluster.node(owner), CLIENTS).await;
    let tokens: Vec<_> = sessions.into_iter().map(|session| session.access_token).collect();
    let quiet = asked(&cluster, owner, &tokens, effort.time * 3).await;
    let done = Arc::<AtomicBool>::default();
    let during = async {
        let mut worst = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let round = asked(&cluster, owner, &tokens, ROUND).await;
            let (p99, most) = (round.quantile(0.99), round.quantile(1.0));
            eprintln!("  second {}: p99 {p99:.2} ms, at most {most:.2} ms", worst.len() + 1);
            worst.push(round);
        }
        worst
    };
    let replaced = async {
        cluster.node(victim).restart_without_its_data().await;
        cluster.is_settled().await;
        done.store(true, Ordering::Relaxed);
    };
    let (during, ()) = tokio::join!(during, replaced);
    let mut latency = during[0].latency.clone();
    during[1..].iter().for_each(|measured| latency += &measured.latency);
    let p99 = latency.value_at_quantile(0.99) as f64 / 1000.0;
    table.add(
        &format!("`GET /users/me` while a tenant of {} users is sent to a node", effort.users),
        format!("p99 {p99:.2} ms over {} s", during.len()),
        format!("when it is quiet: p99 {:.2} ms", quiet.quantile(0.99)),
        format!("{:.2}", p99 / quiet.quantile(0.99)),
        "at most 2",
    );
}
