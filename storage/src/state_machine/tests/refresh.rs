//! Refresh tokens: spent once, known for as long as their session lasts.

use super::*;

#[test]
fn a_refresh_token_is_spent_once_and_its_twin_gets_the_same_successor() {
    let mut world = World::new();
    signed_in(world.register(1));
    let first = world.refresh(1, 2);
    assert!(matches!(&first, Ok(Reply::Renewed(renewed)) if renewed.repeated.is_none()));
    world.pass(Duration::from_secs(10));
    let sealed = Key::new([1; 32]).seal([0; 12], b"", &[2]).expect("sealing");
    let twin = world.refresh(1, 3);
    assert!(matches!(twin, Ok(Reply::Renewed(renewed)) if renewed.repeated == Some(sealed)));
    assert_eq!(world.refresh(3, 4), Err(Rejection::InvalidToken), "the twin's own was never born");
    assert!(matches!(world.refresh(2, 5), Ok(Reply::Renewed(_))));
}

#[test]
fn a_spent_refresh_token_ends_the_session() {
    for late in [Duration::from_millis(10_001), Duration::ZERO] {
        let mut world = World::new();
        signed_in(world.register(1));
        assert!(matches!(world.refresh(1, 2), Ok(Reply::Renewed(_))));
        if late.is_zero() {
            assert!(matches!(world.refresh(2, 3), Ok(Reply::Renewed(_))));
        }
        world.pass(late);
        assert_eq!(world.refresh(1, 9), Ok(Reply::ReuseDetected));
        let current = if late.is_zero() { 3 } else { 2 };
        assert_eq!(world.refresh(current, 9), Err(Rejection::SessionRevoked));
        let events = world.events();
        assert_eq!(events[events.len() - 2..], ["session.reuse_detected", "session.revoked"]);
    }
}

#[test]
fn the_oldest_ancestor_ends_the_session_however_many_came_after_it() {
    let mut world = World::new();
    signed_in(world.register(1));
    let numbered = |number: u16| {
        let mut hash = [0xaa; 32];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        SecretHash(hash)
    };
    let mut current = token(1);
    for number in 0..1500 {
        assert!(matches!(world.rotate(current, numbered(number)), Ok(Reply::Renewed(_))));
        current = numbered(number);
    }
    assert_eq!(world.refresh(1, 9), Ok(Reply::ReuseDetected));
    world.pass(Duration::from_millis(WEEK_MS));
    for removed in [0, 0, 0, 1] {
        let keys = world.expired();
        let sweep = Command::Sweep(sweep::Command { keys });
        assert_eq!(world.propose(sweep), Ok(Reply::Count(removed)), "a bounded number at once");
    }
    let range = keys::range(TENANT, Kind::RefreshToken);
    assert!(!world.records.keys().any(|key| key.starts_with(&range)), "a token is left");
}
