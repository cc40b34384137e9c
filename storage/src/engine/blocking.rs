//! Work that blocks: files, and whatever takes long without waiting. It goes to threads of its own, so
//! that nothing else waits for it.

use std::io;

/// Runs a piece of work that blocks; an error if it panics.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    #[cfg(test)]
    if let Some(pause) = super::tests::simulation::host::pause() {
        tokio::time::sleep(pause).await;
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        return done.map_err(|panic| io::Error::other(super::log::writer::panic_text(&*panic)));
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
