//! Tests of the links: members are heard, strangers get nothing.

use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::secret::Secret;
use crate::version::NEWEST;

const SECRET: &str = "what the members of a cluster know";
const PATIENCE: Duration = Duration::from_secs(20);

fn identity(secret: &str, node: u64) -> Identity {
    Identity::new(&secrets(secret, None), node, now()).expect("an identity")
}

fn secrets(own: &str, also: Option<&str>) -> Secrets {
    Secrets { own: Secret::given(own), also: also.map(Secret::given) }
}

fn now() -> Moment {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock");
    Moment(u64::try_from(since.as_millis()).expect("a time"))
}

/// A node that answers on the control channel what it was asked.
async fn echo(node: u64) -> (Arc<Link>, String) {
    echo_that_speaks(node, NEWEST).await
}

async fn echo_that_speaks(node: u64, version: u16) -> (Arc<Link>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let changed = Arc::new(Notify::new());
    let runtime = Handle::current();
    let speech = Arc::new(Speech::up_to(version));
    let link = Link::new(node, address.clone(), identity(SECRET, node), runtime, changed, speech);
    link.belong_to([1; 16]);
    link.answer_control(Arc::new(|_, request| async move { request }.boxed()));
    link.listen(listener);
    (link, address)
}

fn hello(from: u64, to: u64) -> Hello {
    Hello { cluster: Some([1; 16]), from, to, data: NEWEST, address: "127.0.0.1:1".into() }
}

#[tokio::test]
async fn members_hear_each_other() {
    let (_one, address) = echo(1).await;
    let (two, _) = echo(2).await;
    two.learn(1, &address);
    let answer = two.ask(1, b"are you there", PATIENCE).await.expect("an answer");
    assert_eq!(answer, b"are you there");
}

#[tokio::test]
async fn who_waits_for_a_node_is_told_when_it_comes_or_that_it_is_away() {
    let (one, address) = echo(1).await;
    let (two, back) = echo(2).await;
    one.learn(2, &back);
    let peer = two.peer(1);
    let wait = Duration::from_millis(50);
    let since = Instant::now();
    assert!(!peer.up_within(wait).await);
    assert!(since.elapsed() >= wait, "whoever asks again would do so at once");
    let (is_up, ()) = tokio::join!(peer.up_within(PATIENCE), async { two.learn(1, &address) });
    assert!(is_up);
}

#[tokio::test]
async fn who_comes_back_at_once_has_been_lost_all_the_same() {
    let (one, address) = echo(1).await;
    let (two, back) = echo(2).await;
    two.learn(1, &address);
    one.learn(2, &back);
    let peer = two.peer(1);
    let is_up = async |up: bool| {
        let mut now = peer.follow();
        let changed = now.wait_for(|now| *now == up);
        timeout(PATIENCE, changed).await.expect("in time").expect("a peer");
    };
    is_up(true).await;
    let heard = Instant::now();
    assert!(!two.is_lost_since(1, heard));
    one.closing.cancel();
    is_up(false).await;
    let listener = TcpListener::bind(&address).await.expect("the port again");
    let identity = identity(SECRET, 1);
    let speech = Arc::new(Speech::up_to(NEWEST));
    let again = Link::new(1, address, identity, Handle::current(), Arc::default(), speech);
    again.belong_to([1; 16]);
    again.listen(listener);
    is_up(true).await;
    assert!(two.is_lost_since(1, heard));
    assert!(!two.is_lost_since(1, Instant::now()));
}

#[tokio::test]
async fn whoever_has_another_secret_is_refused() {
    let (_one, address) = echo(1).await;
    let stranger = identity("another secret", 2);
    let refused = connect(&stranger, &address, Channel::Control, hello(2, 1)).await;
    let error = refused.expect_err("a refusal");
    assert!(error.get_ref().is_some_and(|error| error.is::<Refused>()), "{error}");
}

#[tokio::test]
async fn a_member_can_only_be_itself() {
    let (_one, address) = echo(1).await;
    let two = identity(SECRET, 2);
    assert!(connect(&two, &address, Channel::Control, hello(3, 1)).await.is_err());
    assert!(connect(&two, &address, Channel::Control, hello(2, 4)).await.is_err());
    assert!(connect(&two, &address, Channel::Control, hello(2, 1)).await.is_ok());
}

#[tokio::test]
async fn who_has_no_number_may_only_ask_to_join() {
    let (_one, address) = echo(1).await;
    let nobody = identity(SECRET, 0);
    for channel in [Channel::Raft, Channel::Snapshot, Channel::Actors] {
        assert!(connect(&nobody, &address, channel, hello(0, 0)).await.is_err());
    }
    assert!(connect(&nobody, &address, Channel::Control, hello(0, 0)).await.is_ok());
}

#[tokio::test]
async fn members_of_another_cluster_are_refused() {
    let (_one, address) = echo(1).await;
    let two = identity(SECRET, 2);
    let other = Hello { cluster: Some([2; 16]), ..hello(2, 1) };
    let refused = connect(&two, &address, Channel::Raft, other).await;
    assert!(refused.expect_err("a refusal").to_string().contains("another cluster"));
}

#[tokio::test]
async fn a_node_that_has_left_is_refused() {
    let (one, address) = echo(1).await;
    one.admit_by(Box::new(|hello| match hello.from {
        2 => Err("it has left".into()),
        _ => Ok(()),
    }));
    let connect = async |node| {
        connect(&identity(SECRET, node), &address, Channel::Raft, hello(node, 1)).await
    };
    assert!(connect(2).await.expect_err("a refusal").to_string().contains("has left"));
    assert!(connect(3).await.is_ok());
}

#[tokio::test]
async fn garbage_is_answered_by_nothing() {
    let (_one, address) = echo(1).await;
    let mut stranger = TcpStream::connect(&address).await.expect("a connection");
    stranger.write_all(&[0x5a; 4096]).await.expect("a write");
    let mut said = Vec::new();
    // The end comes as an end or as a reset.
    drop(timeout(PATIENCE, stranger.read_to_end(&mut said)).await.expect("an end"));
    assert!(said.len() < 64, "at most an alert");
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_connection() {
    let (_one, address) = echo(1).await;
    let two = identity(SECRET, 2);
    for channel in [Channel::Control, Channel::Raft, Channel::Snapshot] {
        let connected = connect(&two, &address, channel, hello(2, 1)).await;
        let (mut stream, _) = connected.expect("a connection");
        stream.write_all(&u32::MAX.to_be_bytes()).await.expect("a write");
        stream.flush().await.expect("a write");
        let mut said = Vec::new();
        drop(timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("an end"));
        assert!(said.is_empty());
    }
}

#[tokio::test]
async fn what_a_newer_node_asks_is_answered_and_does_not_end_the_connection() {
    let (_one, address) = echo(1).await;
    let two = identity(SECRET, 2);
    let (mut stream, _) =
        connect(&two, &address, Channel::Raft, hello(2, 1)).await.expect("a connection");
    // Encoding, kind of message, id; of a request also the shard, and what is asked of it.
    let (unknown_message, unknown_request) = ([1, 9, 7, 1, 2, 3], [1, 0, 8, 0, 99, 4]);
    for frame in [unknown_message, unknown_request] {
        stream.write_u32(frame.len() as u32).await.expect("a write");
        stream.write_all(&frame).await.expect("a write");
    }
    wire::write(&mut stream, &Outgoing::Ping { leaving: false, leads: vec![], time: None })
        .await
        .expect("a write");
    for id in [7, 8] {
        let said: wire::Incoming =
            timeout(PATIENCE, wire::read(&mut stream, wire::LARGEST)).await.unwrap().unwrap();
        let wire::Incoming::Answer { id: of, answer } = said else { panic!("a pong too early") };
        assert_eq!(of, id);
        assert!(answer.is_err_and(|problem| problem.contains("does not understand")));
    }
    let said = timeout(PATIENCE, wire::read(&mut stream, wire::LARGEST)).await.unwrap();
    assert!(matches!(said, Ok(wire::Incoming::Pong)));
}

#[tokio::test]
async fn a_member_that_is_older_than_the_cluster_is_refused() {
    let (one, address) = echo(1).await;
    let connects = async |from: u64, data: u16| {
        let hello = Hello { data, ..hello(from, if from == 0 { 0 } else { 1 }) };
        connect(&identity(SECRET, from), &address, Channel::Control, hello).await
    };
    assert!(connects(2, 1).await.is_ok());
    one.speech.learn(2);
    let refused = connects(2, 1).await.expect_err("a refusal").to_string();
    assert!(refused.contains("it speaks version 1"), "{refused}");
    assert!(connects(2, 2).await.is_ok());
    assert_eq!(one.spoken_by(2), Some(2));
    // Who has no number yet is told what it will have to speak.
    let (_, theirs) = connects(0, 1).await.expect("a connection");
    assert_eq!(theirs.data, 2);
}

#[tokio::test]
async fn connections_with_a_member_end_when_more_is_agreed_on_than_it_speaks() {
    let (one, address) = echo(1).await;
    let (two, back) = echo_that_speaks(2, 1).await;
    let (three, _) = echo(3).await;
    one.learn(2, &back);
    for other in [&two, &three] {
        other.learn(1, &address);
    }
    let peers = [one.peer(2), two.peer(1), three.peer(1)];
    for peer in &peers {
        assert!(peer.up_within(PATIENCE).await);
    }
    let old = Hello { data: 1, ..hello(2, 1) };
    let mut open = Vec::new();
    for channel in [Channel::Control, Channel::Snapshot] {
        let connected = connect(&identity(SECRET, 2), &address, channel, old.clone()).await;
        open.push(connected.expect("a connection").0);
    }
    one.speech.learn(2);
    for peer in &peers[..2] {
        timeout(PATIENCE, peer.down()).await.expect("an end");
        assert!(!peer.up_within(Duration::from_millis(200)).await, "nor is there another one");
    }
    for mut stream in open {
        // The end comes as an end or as a reset.
        drop(timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("an end"));
    }
    assert!(peers[2].is_up());
    three.ask(1, b"are you there", PATIENCE).await.expect("an answer");
}

#[tokio::test]
async fn idle_strangers_do_not_keep_members_out() {
    let (_one, address) = echo(1).await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(&address).await.expect("a connection"));
    }
    let (two, _) = echo(2).await;
    two.learn(1, &address);
    let answer = async {
        loop {
            if let Ok(answer) = two.ask(1, b"and now", PATIENCE).await {
                return answer;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, answer).await.expect("an answer"), b"and now");
    drop(idle);
}

#[tokio::test]
async fn one_secret_takes_the_place_of_another_while_nodes_hear_each_other() {
    const NEXT: &str = "what the members will know from now on";
    let ((one, first), (two, second)) = (echo(1).await, echo(2).await);
    one.learn(2, &second);
    two.learn(1, &first);
    let hear_each_other = async || {
        one.ask(2, b"are you there", PATIENCE).await.expect("an answer");
        two.ask(1, b"are you there", PATIENCE).await.expect("an answer");
    };
    let steps = [secrets(SECRET, Some(NEXT)), secrets(NEXT, Some(SECRET)), secrets(NEXT, None)];
    for step in steps {
        for (link, node) in [(&one, 1), (&two, 2)] {
            link.show(Identity::new(&step, node, now()).expect("an identity"));
            hear_each_other().await;
        }
    }
    let late = connect(&identity(SECRET, 3), &first, Channel::Control, hello(3, 1)).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn a_certificate_is_good_for_a_month() {
    let (_one, address) = echo(1).await;
    for (days, good) in [(-40, false), (-20, true), (20, true), (40, false)] {
        let then = now().0.saturating_add_signed(days * 24 * 3_600_000);
        let two = Identity::new(&secrets(SECRET, None), 2, Moment(then)).expect("an identity");
        let connected = connect(&two, &address, Channel::Control, hello(2, 1)).await;
        assert_eq!(connected.is_ok(), good, "made {days} days from now");
    }
}
