//! Gateways of several nodes in one process, over pipes in place of encrypted connections.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc};

use super::*;

type Inbox = mpsc::UnboundedSender<(u64, Stream)>;

/// The pipes of all nodes of a test. Those of one link can be cut.
#[derive(Clone, Default)]
struct Pipes(Arc<Mutex<HashMap<u64, Inbox>>>);

struct TestLinks {
    node: u64,
    pipes: Pipes,
    peers: watch::Sender<Vec<Peer>>,
    accepted: tokio::sync::Mutex<mpsc::UnboundedReceiver<(u64, Stream)>>,
    cut: Arc<tokio::sync::Notify>,
}

impl Pipes {
    fn node(&self, node: u64, peers: &[u64], cut: Arc<tokio::sync::Notify>) -> Arc<TestLinks> {
        let (sender, accepted) = mpsc::unbounded_channel();
        self.0.lock().insert(node, sender);
        let named = |&id: &u64| Peer { id, name: format!("node-{id}") };
        Arc::new(TestLinks {
            node,
            pipes: self.clone(),
            peers: watch::Sender::new(peers.iter().map(named).collect()),
            accepted: tokio::sync::Mutex::new(accepted),
            cut,
        })
    }
}

impl Links for TestLinks {
    fn node(&self) -> u64 {
        self.node
    }

    fn peers(&self) -> watch::Receiver<Vec<Peer>> {
        self.peers.subscribe()
    }

    fn connect(&self, peer: u64) -> BoxFuture<'static, io::Result<Stream>> {
        let inbox = self.pipes.0.lock().get(&peer).cloned();
        let (node, cut) = (self.node, self.cut.clone());
        Box::pin(async move {
            let inbox = inbox.ok_or(io::ErrorKind::ConnectionRefused)?;
            let ((ours, outer), (inner, theirs)) = (pipe(), pipe());
            ractor::concurrency::spawn(async move {
                let (mut outer, mut inner) = (outer, inner);
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut outer, &mut inner) => {}
                    () = cut.notified() => {}
                }
            });
            let sent = inbox.send((node, Box::new(theirs)));
            sent.map_err(|_| io::ErrorKind::ConnectionReset)?;
            Ok(Box::new(ours) as Stream)
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<(u64, Stream)>> {
        Box::pin(async { self.accepted.lock().await.recv().await })
    }
}

fn pipe() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(64 * 1024)
}

/// Answers with what it was sent, backwards, when it is let.
struct Backwards {
    let_go: Semaphore,
    asked: AtomicUsize,
    given_up: AtomicUsize,
}

/// Work that is given up when it is dropped before its end.
struct Begun(Option<Arc<Backwards>>);

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(worker) = &self.0 {
            worker.given_up.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Echo(Arc<Backwards>);

impl Worker for Echo {
    fn work(
        &self,
        request: Bytes,
        pieces: Option<Pieces>,
        _: Duration,
    ) -> BoxFuture<'static, Answer> {
        let backwards = self.0.clone();
        Box::pin(async move {
            backwards.asked.fetch_add(1, Ordering::SeqCst);
            assert_ne!(&request[..], b"panic", "as told");
            let mut begun = Begun(Some(backwards.clone()));
            drop(backwards.let_go.acquire().await);
            begun.0 = None;
            let mut request = request.to_vec();
            if let Some(mut pieces) = pieces {
                while let Some(piece) = pieces.next().await.filter(|piece| piece[0] == b'+') {
                    request.extend_from_slice(&piece);
                }
            }
            let answer: Vec<u8> = request.iter().rev().copied().collect();
            if answer.is_empty() {
                let numbers =
                    futures::stream::iter((0..100).map(|number: u8| (number, Bytes::new())));
                return Answer::Pieces(Bytes::from_static(b"numbers"), Box::pin(numbers));
            }
            Answer::Whole(answer.into(), Bytes::from_static(b"."))
        })
    }
}

struct Pair {
    near: Gateway,
    far: Gateway,
    worker: Arc<Backwards>,
    cut: Arc<tokio::sync::Notify>,
}

/// Two nodes, of which the second answers.
async fn pair() -> Pair {
    let (pipes, cut) = (Pipes::default(), Arc::new(tokio::sync::Notify::new()));
    let links = [pipes.node(1, &[2], cut.clone()), pipes.node(2, &[1], cut.clone())];
    let [near, far] = links.map(|links| async {
        Gateway::start_with(Weak::new(), links, (7, 1)).await.expect("a gateway")
    });
    let (near, far) = (near.await, far.await);
    let let_go = Semaphore::new(Semaphore::MAX_PERMITS);
    let worker = Arc::new(Backwards {
        let_go,
        asked: AtomicUsize::default(),
        given_up: AtomicUsize::default(),
    });
    far.serve(Arc::new(Echo(worker.clone())));
    reaches(&near, 2).await;
    reaches(&far, 1).await;
    Pair { near, far, worker, cut }
}

async fn reaches(gateway: &Gateway, peer: u64) {
    let mut changes = gateway.changes();
    let reached = changes.wait_for(|_| gateway.reaches(peer));
    drop(tokio::time::timeout(Duration::from_secs(10), reached).await.expect("a link in time"));
}

const LONG: Duration = Duration::from_secs(20);

impl Pair {
    async fn ask(&self, body: impl Into<Bytes>, within: Duration) -> Result<Bytes, Lost> {
        let answer = self.near.forward(2, Bytes::from_static(b"ab"), body.into(), within).await;
        answer.map(|answer| answer.bytes)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_gets_its_own_answer() {
    let pair = pair().await;
    let calls = (0..500).map(|number: u32| {
        let pair = &pair;
        async move {
            let answer = pair.ask(number.to_string(), LONG).await.expect("an answer");
            let backwards: String = number.to_string().chars().rev().collect();
            assert_eq!(answer, format!("{backwards}ba."));
        }
    });
    join_all(calls).await;
    let nobody_serves = pair.far.forward(1, Bytes::new(), Bytes::new(), LONG).await;
    assert_eq!(nobody_serves.err(), Some(Lost::Unknown));
    let nobody_is_there = pair.near.forward(3, Bytes::new(), Bytes::new(), LONG).await;
    assert_eq!(nobody_is_there.err(), Some(Lost::Unreachable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_a_message_may_be_arrives_whole() {
    let pair = pair().await;
    let large = vec![b'x'; 20 * 1024 * 1024];
    let answer = pair.ask(large.clone(), LONG).await.expect("an answer");
    assert_eq!(answer.len(), large.len() + 3);
    assert!(answer.starts_with(b"xx") && answer.ends_with(b"ba."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_and_a_late_answer_leave_the_outcome_unknown() {
    let pair = pair().await;
    let near = &pair.near;
    let panicked = near.forward(2, Bytes::from_static(b"panic"), Bytes::new(), LONG).await;
    assert_eq!(panicked.err(), Some(Lost::Unknown));
    pair.worker.let_go.forget_permits(Semaphore::MAX_PERMITS);
    assert_eq!(pair.ask("late", Duration::from_millis(50)).await, Err(Lost::Unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_at_once_is_refused_at_once() {
    let pair = pair().await;
    pair.worker.let_go.forget_permits(Semaphore::MAX_PERMITS);
    let mut under_way: Vec<_> =
        (0..link::MOST_CALLS).map(|_| Box::pin(pair.ask("x", LONG))).collect();
    for call in &mut under_way {
        assert!(futures::poll!(call).is_pending());
    }
    assert_eq!(pair.ask("x", LONG).await, Err(Lost::Busy));
    pair.worker.let_go.add_permits(1_000_000);
    for answer in join_all(under_way).await {
        assert_eq!(answer, Ok(Bytes::from_static(b"xba.")));
    }
    assert!(pair.ask("x", LONG).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_link_ends_what_is_under_way_and_is_made_anew() {
    let pair = pair().await;
    pair.worker.let_go.forget_permits(Semaphore::MAX_PERMITS);
    let mut under_way = Box::pin(pair.ask("lost", LONG));
    assert!(futures::poll!(&mut under_way).is_pending());
    comes_to(&pair.worker.asked, 1).await;
    pair.cut.notify_waiters();
    assert_eq!(under_way.await, Err(Lost::Unknown));
    reaches(&pair.near, 2).await;
    let mut again = Box::pin(pair.ask("again", LONG));
    assert!(futures::poll!(&mut again).is_pending());
    comes_to(&pair.worker.asked, 2).await;
    assert_eq!(pair.worker.given_up.load(Ordering::SeqCst), 1, "before the next is begun");
    pair.worker.let_go.add_permits(1);
    assert_eq!(again.await, Ok(Bytes::from_static(b"niagaba.")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_any_longer_is_given_up() {
    let pair = pair().await;
    pair.worker.let_go.forget_permits(Semaphore::MAX_PERMITS);
    let mut under_way = Box::pin(pair.ask("gone", LONG));
    assert!(futures::poll!(&mut under_way).is_pending());
    comes_to(&pair.worker.asked, 1).await;
    drop(under_way);
    comes_to(&pair.worker.given_up, 1).await;
}

async fn comes_to(count: &AtomicUsize, wanted: usize) {
    let reached = async {
        while count.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("in time");
}

/// A hundred numbers.
struct Numbers<'a>(&'a AtomicUsize);

impl Source for Numbers<'_> {
    async fn next(&mut self) -> (u8, Bytes) {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            number @ 0..100 => (b'+', Bytes::from(number.to_string())),
            _ => (b'.', Bytes::new()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_pieces_is_sent_as_it_is_asked_for() {
    let pair = pair().await;
    let sent = AtomicUsize::new(0);
    let mut numbers = Numbers(&sent);
    pair.worker.let_go.forget_permits(Semaphore::MAX_PERMITS);
    let head = Bytes::from_static(b"head");
    let mut under_way = Box::pin(pair.near.forward_pieces(2, head, &mut numbers, LONG));
    assert!(futures::poll!(&mut under_way).is_pending());
    comes_to(&pair.worker.asked, 1).await;
    assert!(futures::poll!(&mut under_way).is_pending());
    assert_eq!(sent.load(Ordering::SeqCst), 0, "nothing is sent that nobody reads");
    pair.worker.let_go.add_permits(1);
    let answer = under_way.await.expect("an answer");
    let all: String = (0..100).map(|number: u8| format!("+{number}")).collect();
    let backwards: String = format!("head{all}").chars().rev().collect();
    assert_eq!(answer.bytes, format!("{backwards}."));
    assert!(sent.load(Ordering::SeqCst) < 110, "and little more than was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_in_pieces_is_read_as_it_comes_or_given_up() {
    let pair = pair().await;
    let ask = || pair.near.forward(2, Bytes::new(), Bytes::new(), LONG);
    let answer = ask().await.expect("an answer");
    assert_eq!(answer.bytes, "numbers");
    let mut rest = answer.rest.expect("the rest");
    for number in 0..100 {
        assert_eq!(rest.next().await, Some(Bytes::copy_from_slice(&[number])));
    }
    let mut rest = ask().await.expect("an answer").rest.expect("the rest");
    assert_eq!(rest.next().await, Some(Bytes::from_static(&[0])));
    drop(rest);
    assert!(pair.ask("x", LONG).await.is_ok());
}
