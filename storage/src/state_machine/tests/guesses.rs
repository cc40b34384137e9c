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
fn a_locked_account_is_not_deleted_either() {
    let mut world = World::new();
    signed_in(world.register(1));
    for _ in 0..5 {
        assert_eq!(world.guess_wrong(1), Ok(Reply::WrongGuess));
    }
    let delete = Delete { user: user(1), verified: 1 };
    let refused = world.propose(Command::Users(users::Command::Delete(delete)));
    assert!(matches!(refused, Err(Rejection::AccountLocked { .. })));
}
