//! `POST /auth/refresh`, durable, against a lone etcd's put of 500 bytes through its JSON gateway.

use janua_tests::Session;

use super::clients::Refresh;
use super::{CONNECTIONS, sessions, shipped};
use crate::Effort;
use crate::etcd::Etcd;
use crate::load::{Pace, Target, run_on};
use crate::table::{Table, median, spread};

/// Measures the row.
pub async fn measure(effort: Effort, table: &mut Table) {
    let Some(etcd) = Etcd::of(1).await else {
        eprintln!("etcd cannot be had: the row is left out");
        return;
    };
    let node = shipped().start().await;
    let sessions = sessions(&node, CONNECTIONS).await;
    let here = Target { addresses: vec![node.api.address()], processes: vec![node.process_id()] };
    let [ours, theirs, ratio] = beside(&etcd, &here, sessions, effort).await;
    let floor = "1.0, p50 no higher (aim 1.5)";
    table.add("`POST /auth/refresh`, 64 connections", ours, theirs, ratio, floor);
}

/// What refreshing these sessions and putting to an etcd come to, in turn; and their ratio.
pub async fn beside(
    etcd: &Etcd,
    here: &Target,
    sessions: Vec<Session>,
    effort: Effort,
) -> [String; 3] {
    let tokens = sessions.into_iter().map(|session| session.refresh_token);
    let mut clients: Vec<_> = tokens.map(|token| Refresh::with(vec![token])).collect();
    let mut putters = etcd.clients(CONNECTIONS);
    let (mut ratios, mut middles) = (vec![], vec![]);
    let (mut ours, mut theirs) = (String::new(), String::new());
    for _ in 0..effort.rounds {
        let (reference, measured);
        (reference, putters) = run_on(&etcd.target(), putters, effort.time, Pace::Flat).await;
        (measured, clients) = run_on(here, clients, effort.time, Pace::Flat).await;
        assert_eq!((reference.bad, measured.bad), (0, 0), "every request is accepted");
        ratios.push(measured.rate() / reference.rate());
        middles.push(measured.quantile(0.5) / reference.quantile(0.5));
        (ours, theirs) = (measured.summary(), reference.summary());
    }
    [ours, theirs, format!("{}; p50 {:.2} of its", spread(&ratios), median(middles))]
}
