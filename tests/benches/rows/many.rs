//! Very many users and sessions: the memory that serving them at random takes, the time of a restart
//! among them, and the cost of requests beside the same at a thousand.
//!
//! At random over very many sessions, almost every request is the first of its token, whose signature
//! must be verified. So `GET /users/me` is measured with tokens that are seen for the first time at
//! both sizes: what differs is then the number of users alone.

use std::time::{Duration, Instant};

use janua_tests::Node;
use janua_tests::people::PASSWORD;

use super::clients::{Login, Me, Refresh, Register};
use super::memory::QUIET;
use super::{CONNECTIONS, shipped};
use crate::Effort;
use crate::load::{Measured, Pace, run};
use crate::machine::memory_of;
use crate::table::{Table, median};

/// The size that cost is compared with.
const FEW: usize = 1000;

/// Longer than any filling.
const UNTIL_DONE: Duration = Duration::from_secs(6 * 3600);

/// A node with users, each with a session whose tokens are known.
struct Filled {
    node: Node,
    emails: Vec<String>,
    refresh: Vec<Vec<String>>,
    access: Vec<Vec<String>>,
}

impl Filled {
    /// Registers the users over the API; hashing costs next to nothing here, and access tokens live
    /// as long as the measurement.
    async fn with(users: usize) -> Self {
        let node = shipped()
            .with("passwords.memory_kib", 8)
            .with("passwords.iterations", 1)
            .with("tokens.access_ttl", "1d")
            .start()
            .await;
        let share = users.div_ceil(CONNECTIONS);
        let clients = (0..CONNECTIONS).map(|number| Register::new(number, share)).collect();
        let (filled, clients) =
            run(&node.api.address(), node.process_id(), clients, UNTIL_DONE, Pace::Flat).await;
        eprintln!(
            "  {} users registered at {:.0}/s, {} times one was refused at first",
            filled.good,
            filled.rate(),
            filled.bad
        );
        let mut emails = Vec::new();
        let (mut refresh, mut access) = (Vec::new(), Vec::new());
        for client in clients {
            emails.extend(client.emails);
            let (r, a) = client.tokens.into_iter().unzip();
            refresh.push(r);
            access.push(a);
        }
        Self { node, emails, refresh, access }
    }

    async fn run<C: crate::load::Client>(
        &self,
        clients: Vec<C>,
        time: Duration,
    ) -> (Measured, Vec<C>) {
        let (address, process) = (self.node.api.address(), self.node.process_id());
        let (measured, clients) = run(&address, process, clients, time, Pace::Flat).await;
        assert_eq!(measured.bad, 0, "every request is accepted");
        (measured, clients)
    }

    /// CPU of a login without its hashing, of me and of refresh, in microseconds.
    async fn costs(&mut self, effort: Effort) -> [f64; 3] {
        let users: Vec<_> =
            self.emails.iter().map(|email| (email.clone(), PASSWORD.to_owned())).collect();
        let (mut logins, mut mes, mut refreshes) = (vec![], vec![], vec![]);
        let mut unseen = self.unseen(effort).await;
        for round in 0..effort.rounds {
            let clients =
                (0..8).map(|number| Login::new(users.clone(), number * 101 + round)).collect();
            logins.push(self.run(clients, effort.time).await.0.cpu_each());
            let clients = unseen.iter_mut().map(|tokens| Me::once_with(tokens.remove(0))).collect();
            mes.push(self.run(clients, effort.time).await.0.cpu_each());
            refreshes.push(self.refresh(effort.time).await.cpu_each());
        }
        [median(logins), median(mes), median(refreshes)]
    }

    /// Access tokens that the node has not met, for each client and round: those of the registration
    /// where they last for all rounds (the node was restarted since), else those of refreshes.
    async fn unseen(&mut self, effort: Effort) -> Vec<Vec<Vec<String>>> {
        let access = std::mem::take(&mut self.access);
        if access.iter().map(Vec::len).sum::<usize>() > FEW * CONNECTIONS {
            let rounds = |tokens: &Vec<String>| {
                let share = tokens.len().div_ceil(effort.rounds);
                tokens.chunks(share).map(<[String]>::to_vec).collect()
            };
            return access.iter().map(rounds).collect();
        }
        let mut unseen = vec![Vec::new(); access.len()];
        for _ in 0..effort.rounds {
            let clients = std::mem::take(&mut self.refresh).into_iter();
            let clients = clients.map(|tokens| Refresh::with(tokens).collecting()).collect();
            let (_, clients) = self.run(clients, effort.time).await;
            for (mut client, unseen) in clients.into_iter().zip(&mut unseen) {
                unseen.push(client.collected.take().unwrap_or_default());
                self.refresh.push(client.into_tokens());
            }
        }
        unseen
    }

    async fn refresh(&mut self, time: Duration) -> Measured {
        let clients = std::mem::take(&mut self.refresh).into_iter().map(Refresh::with).collect();
        let (measured, clients) = self.run(clients, time).await;
        self.refresh = clients.into_iter().map(Refresh::into_tokens).collect();
        measured
    }
}

/// Measures the rows.
pub async fn measure(effort: Effort, table: &mut Table) {
    let mut many = Filled::with(effort.users).await;
    let begun = Instant::now();
    many.node.restart().await;
    let restart = begun.elapsed();
    tokio::time::sleep(QUIET).await;
    let (idle, _) = memory_of(many.node.process_id());
    eprintln!("  restarted in {:.1} s, {idle:.0} MB when idle", restart.as_secs_f64());
    let costs = many.costs(effort).await;
    let (_, most) = memory_of(many.node.process_id());
    eprintln!("  {most:.0} MB at most, {costs:.0?} µs of login, me, refresh");
    drop(many);
    let few = Filled::with(FEW).await.costs(effort).await;

    let work =
        format!("resident memory with {} users and sessions, served at random", effort.users);
    let ours = format!("{idle:.0} MB before, restarted in {:.1} s", restart.as_secs_f64());
    table.add(&work, ours, "–".into(), format!("{most:.0} MB at most"), "600 MB");
    for ((name, many), few) in
        ["login less hashing", "me, each token for the first time,", "refresh"]
            .iter()
            .zip(costs)
            .zip(few)
    {
        let work = format!("cost of {name} at {} users", effort.users);
        let at_few = format!("{few:.0} µs CPU each at {FEW}");
        table.add(
            &work,
            format!("{many:.0} µs CPU each"),
            at_few,
            format!("{:.2}", many / few),
            "at most 1.3",
        );
    }
}
