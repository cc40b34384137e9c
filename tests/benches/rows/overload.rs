//! Logins offered three times what fits: throughput holds, the surplus is refused at once, and other
//! endpoints do not notice.

use std::time::Duration;

use super::clients::{Login, Me};
use super::login::{USERS, cores};
use super::{shipped, users};
use crate::Effort;
use crate::load::{Pace, run};
use crate::table::{Table, median};

/// Connections that offer logins.
const OFFERING: usize = 256;

/// Measures the row.
pub async fn measure(effort: Effort, table: &mut Table) {
    let node = shipped().start().await;
    let (address, process) = (node.api.address(), node.process_id());
    let known = users(&node, USERS).await;
    let tokens: Vec<_> = known.iter().map(|user| user.session.access_token.clone()).collect();
    let users: Vec<_> = known.into_iter().map(|user| (user.email, user.password)).collect();
    let logins =
        |count: usize| (0..count).map(|number| Login::new(users.clone(), number)).collect();
    let (mut held, mut refused, mut slowest, mut others) = (vec![], vec![], vec![], vec![]);
    let mut silent = 0;
    for _ in 0..effort.rounds {
        let (fits, _): (_, Vec<Login>) =
            run(&address, process, logins(cores() * 2), effort.time, Pace::Flat).await;
        let apart = Duration::from_secs_f64(OFFERING as f64 / (3.0 * fits.rate()));
        let asking: Vec<_> = (0..4).map(|_| Me::with(tokens.clone())).collect();
        let ((offered, clients), (me, _)) = tokio::join!(
            run(&address, process, logins(OFFERING), effort.time, Pace::Every(apart)),
            run(&address, process, asking, effort.time, Pace::Every(Duration::from_millis(20))),
        );
        held.push(offered.rate() / fits.rate());
        refused.push(offered.bad as f64 / (offered.good + offered.bad) as f64);
        slowest.push(offered.bad_latency.max() as f64 / 1000.0);
        others.push(me.quantile(0.99));
        silent += clients.iter().map(|client: &Login| client.silent_refusals).sum::<usize>();
    }
    let ours = format!(
        "{:.0} % refused, the slowest refusal after {:.0} ms, {silent} without Retry-After; `GET /users/me` beside it p99 {:.1} ms",
        median(refused) * 100.0,
        median(slowest),
        median(others)
    );
    table.add(
        "the same, offered three times what fits",
        ours,
        "what fits".into(),
        format!("{:.2}", median(held)),
        "holds; 503 within 1000 ms; p99 under 50 ms",
    );
}
