//! Waiting for conditions.

use std::time::{Duration, Instant};

/// How long any condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again until `found` gives something; fails the test after `PATIENCE`.
pub async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = found().await {
            return value;
        }
        assert!(Instant::now() < deadline, "still waiting after {PATIENCE:?} until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
