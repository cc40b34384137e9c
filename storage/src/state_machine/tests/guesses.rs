//! Wrong guesses and what they close.

use super::*;

#[test]
fn five_wrong_guesses_lock_and_the_sixth_is_not_looked_at() {
    let mut world = World::new();
    signed_in(world.register(1));
    for _ in 0..5 {
        assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    }
    let until = world.now.after(POLICY.duration);
    assert_eq!(world.guess_wrong(1), Err(Rejection::AccountLocked { until }));
    assert_eq!(world.log_in(1, 2, 100), Err(Rejection::AccountLocked { until }));
    let locked = world.events().iter().filter(|kind| **kind == "auth.account_locked").count();
    assert_eq!(locked, 1);
    world.pass(POLICY.duration);
    signed_in(world.log_in(1, 2, 100));
}

#[test]
fn wrong_guesses_are_forgotten_after_the_window_or_a_right_one() {
    let mut world = World::new();
    signed_in(world.register(1));
    for _ in 0..2 {
        for _ in 0..4 {
            assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
        }
        world.pass(POLICY.window);
    }
    for session in 10..12 {
        for _ in 0..4 {
            assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
        }
        signed_in(world.log_in(1, session, 100));
    }
}

#[test]
fn guesses_are_counted_in_any_window_not_in_fixed_ones() {
    let mut world = World::new();
    signed_in(world.register(1));
    let minute = Duration::from_secs(60);
    assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    world.pass(POLICY.window - minute);
    for _ in 0..3 {
        assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    }
    world.pass(2 * minute);
    for _ in 0..2 {
        assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    }
    assert!(matches!(world.guess_wrong(1), Err(Rejection::AccountLocked { .. })));
}

#[test]
fn a_wrong_guess_that_a_node_makes_again_is_counted_once() {
    let mut world = World::new();
    signed_in(world.register(1));
    let guess = |world: &mut World, number: u8| {
        let expires = world.now.after(Duration::from_secs(60));
        let (digest, request) = ([number; 32], [0; 32]);
        let operation = Ticket { digest, request, secrets: None, expires };
        let fail = Fail { email: email(1), user: Some(user(1)), policy: POLICY };
        let command = Command::Passwords(passwords::Command::Fail(fail));
        world.propose(Command::Guess(Box::new(Guess { operation, command })))
    };
    for number in 1..=5 {
        assert_eq!(guess(&mut world, number), Ok(Reply::WrongGuess));
        for _ in 0..3 {
            // Also the one that has closed the address.
            assert!(matches!(guess(&mut world, number), Ok(Reply::Recorded(_))));
        }
    }
    let counted = world.events().iter().filter(|kind| **kind == "auth.login_failed").count();
    assert_eq!(counted, 5);
    assert!(matches!(guess(&mut world, 6), Err(Rejection::AccountLocked { .. })));
}

#[test]
fn guesses_within_sessions_and_at_logins_are_counted_apart() {
    let mut world = World::new();
    signed_in(world.register(1));
    for _ in 0..5 {
        assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    }
    let fail = FailWithin { user: user(1), policy: POLICY };
    let fail = Command::Passwords(passwords::Command::FailWithin(fail));
    for _ in 0..5 {
        assert_eq!(world.propose(fail.clone()), Ok(Reply::WrongGuess));
    }
    assert!(matches!(world.propose(fail), Err(Rejection::AccountLocked { .. })));
    let leave = Leave { user: user(1), verified: Some(1) };
    let refused = world.propose(Command::Users(users::Command::Leave(leave)));
    assert!(matches!(refused, Err(Rejection::AccountLocked { .. })));
}

#[test]
fn a_stranger_who_closes_an_address_does_not_keep_its_owner_from_leaving() {
    let mut world = World::new();
    signed_in(world.register(1));
    for _ in 0..5 {
        assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    }
    let leave = Leave { user: user(1), verified: Some(1) };
    assert_eq!(world.propose(Command::Users(users::Command::Leave(leave))), Ok(Reply::Done));
}
