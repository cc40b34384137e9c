//! Revocation: no request that is sent after a session's end was answered is accepted with its
//! tokens, under load, on connections that are warm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use janua_tests::{Node, Session, User, wait};
use serde_json::json;
use tokio::task::JoinSet;

const WORKERS: usize = 16;
const ROUNDS: usize = 10;
/// Requests that each worker sends after the end was answered.
const SENT_AFTER: usize = 20;

/// Workers that use a session without pause.
struct Load {
    ended: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    workers: JoinSet<usize>,
}

impl Load {
    fn on(session: &Session) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let (session, ended, accepted) = (session.clone(), ended.clone(), accepted.clone());
            workers.spawn(async move {
                let (mut sent_after, mut wrongly_accepted) = (0, 0);
                while sent_after < SENT_AFTER {
                    let is_after = ended.load(Ordering::SeqCst);
                    let was_accepted = session.me().await.status == 200;
                    sent_after += usize::from(is_after);
                    wrongly_accepted += usize::from(is_after && was_accepted);
                    accepted.fetch_add(usize::from(was_accepted), Ordering::SeqCst);
                }
                wrongly_accepted
            });
        }
        Self { ended, accepted, workers }
    }

    /// Waits until every connection is warm and requests are being accepted.
    async fn is_under_way(&self) {
        wait::until("requests are being accepted", async || {
            (self.accepted.load(Ordering::SeqCst) > WORKERS * 4).then_some(())
        })
        .await;
    }

    /// Says that the end was answered; how many requests sent after it were accepted.
    async fn after_the_end(self) -> usize {
        self.ended.store(true, Ordering::SeqCst);
        self.workers.join_all().await.into_iter().sum()
    }
}

async fn nothing_is_accepted_after(end: impl AsyncFn(&User, &Session)) {
    let node = Node::start().await;
    for round in 0..ROUNDS {
        let user = node.register(&format!("alice-{round}")).await;
        let session = user.logs_in().await;
        let load = Load::on(&session);
        load.is_under_way().await;
        end(&user, &session).await;
        assert_eq!(load.after_the_end().await, 0, "accepted after the end, in round {round}");
        session.refresh().await.is_no(401, "session_revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_after_a_session_was_revoked() {
    nothing_is_accepted_after(async |user, session| {
        let path = format!("/sessions/{}", session.id().await);
        user.session.delete(&path).await.is_yes(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_after_all_others_were_revoked() {
    nothing_is_accepted_after(async |user, _| {
        user.session.delete("/sessions").await.is_yes(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_after_logout() {
    nothing_is_accepted_after(async |_, session| {
        session.logs_out().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_after_a_password_change() {
    nothing_is_accepted_after(async |user, _| {
        let request = json!({
            "currentPassword": user.password, "newPassword": "A-second-river-41!",
            "logoutOtherSessions": true,
        });
        user.session.post("/users/me/change-password", request).await.is_yes(200);
    })
    .await;
}

#[tokio::test]
async fn an_end_outlives_a_kill() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    phone.logs_out().await;
    node.restart().await;
    phone.is_over().await;
    alice.session.is_alive().await;
}
