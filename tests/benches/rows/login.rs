//! Logins with the default Argon2 parameters, against bare Argon2id verifications on every core.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use janua_tests::people::PASSWORD;

use super::clients::Login;
use super::{shipped, users};
use crate::Effort;
use crate::load::{Pace, run};
use crate::table::{Table, spread};

/// Enough users that no account is asked twice at once.
pub const USERS: usize = 64;

/// Cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Verifications a second when every core does nothing else.
pub fn bare_argon2(time: Duration) -> f64 {
    let params = Params::new(19_456, 2, 1, None).expect("the default parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(PASSWORD.as_bytes(), b"0123456789abcdef");
    let hash = hash.expect("a hash").to_string();
    let done = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                let hash = PasswordHash::new(&hash).expect("a PHC string");
                while begun.elapsed() < time {
                    argon2.verify_password(PASSWORD.as_bytes(), &hash).expect("it matches");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// Measures the row.
pub async fn measure(effort: Effort, table: &mut Table) {
    let node = shipped().start().await;
    let users: Vec<_> =
        users(&node, USERS).await.into_iter().map(|user| (user.email, user.password)).collect();
    let mut clients: Vec<_> =
        (0..cores() * 4).map(|number| Login::new(users.clone(), number)).collect();
    let (mut ratios, mut ours, mut theirs) = (vec![], String::new(), String::new());
    for _ in 0..effort.rounds {
        let reference = tokio::task::block_in_place(|| bare_argon2(effort.time));
        let measured;
        (measured, clients) =
            run(&node.api.address(), node.process_id(), clients, effort.time, Pace::Flat).await;
        assert_eq!(measured.bad, 0, "every login fits");
        ratios.push(measured.rate() / reference);
        ours = measured.summary();
        theirs = format!("{reference:.1} verifications/s on {} cores", cores());
    }
    table.add("`POST /auth/login`", ours, theirs, spread(&ratios), "0.93 (aim 0.97)");
}
