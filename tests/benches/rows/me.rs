//! `GET /users/me`, with a live check of the session, against a bare hyper server that answers the
//! same JSON; with tokens that were seen before, and with each token seen for the first time.

use janua_tests::{Node, Session};

use super::clients::{Me, Refresh};
use super::{CONNECTIONS, sessions, shipped};
use crate::Effort;
use crate::bare::Bare;
use crate::load::{Measured, Pace, run};
use crate::table::{Table, spread};

/// Measures both rows.
pub async fn measure(effort: Effort, table: &mut Table) {
    let node = shipped().start().await;
    let sessions = sessions(&node, CONNECTIONS).await;
    let answer = sessions[0].me().await.is_yes(200).text;
    let bare = Bare::start(&answer);
    warm(effort, &node, &bare, &sessions, table).await;
    cold(effort, &node, &bare, sessions, table).await;
}

async fn reference(effort: Effort, bare: &Bare) -> Measured {
    let clients = (0..CONNECTIONS).map(|_| Me::with(vec!["x".repeat(500)])).collect();
    run(&bare.address, bare.process_id(), clients, effort.time, Pace::Flat).await.0
}

async fn warm(effort: Effort, node: &Node, bare: &Bare, sessions: &[Session], table: &mut Table) {
    let (mut ratios, mut ours, mut theirs) = (vec![], String::new(), String::new());
    for _ in 0..effort.rounds {
        let reference = reference(effort, bare).await;
        let clients = sessions.iter().map(|session| Me::with(vec![session.access_token.clone()]));
        let clients = clients.collect();
        let (measured, _) =
            run(&node.api.address(), node.process_id(), clients, effort.time, Pace::Flat).await;
        assert_eq!(measured.bad, 0, "every request is accepted");
        ratios.push(measured.rate() / reference.rate());
        (ours, theirs) = (measured.summary(), reference.summary());
    }
    table.add("`GET /users/me`, 64 connections", ours, theirs, spread(&ratios), "0.35 (aim 0.5)");
}

async fn cold(effort: Effort, node: &Node, bare: &Bare, sessions: Vec<Session>, table: &mut Table) {
    let (mut ratios, mut ours, mut theirs) = (vec![], String::new(), String::new());
    let mut refreshing: Vec<_> =
        sessions.into_iter().map(|session| Refresh::with(vec![session.refresh_token])).collect();
    for _ in 0..effort.rounds {
        let reference = reference(effort, bare).await;
        let collecting = refreshing.into_iter().map(Refresh::collecting).collect();
        let collected;
        (_, collected) =
            run(&node.api.address(), node.process_id(), collecting, effort.time, Pace::Flat).await;
        refreshing = collected;
        let clients = refreshing
            .iter_mut()
            .map(|client| Me::once_with(client.collected.take().unwrap_or_default()));
        let clients = clients.collect();
        let (measured, _) =
            run(&node.api.address(), node.process_id(), clients, effort.time, Pace::Flat).await;
        assert_eq!(measured.bad, 0, "every request is accepted");
        ratios.push(measured.rate() / reference.rate());
        (ours, theirs) = (measured.summary(), reference.summary());
    }
    table.add(
        "the same, every token seen for the first time",
        ours,
        theirs,
        spread(&ratios),
        "0.10",
    );
}
