//! Where the program under test lies: next to the tests, built from the same sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The program `janua`, of the profile that this very executable was built in.
///
/// `cargo nextest run --workspace` builds it before any test. When only this package is built, it
/// may be missing or older than its sources: then it is built here, because a test of yesterday's
/// program is worse than a slow one.
pub fn janua() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let here = std::env::current_exe().expect("the path of this executable");
        let beside = here.parent().expect("a folder");
        let profile =
            if beside.ends_with("deps") { beside.parent().expect("a folder") } else { beside };
        let program = profile.join("janua");
        if is_stale(&program) {
            build(profile.ends_with("release"));
        }
        program
    })
}

fn is_stale(program: &Path) -> bool {
    let Ok(built) = program.metadata().and_then(|metadata| metadata.modified()) else {
        return true;
    };
    ["node", "http", "actors", "storage"].iter().any(|floor| {
        let sources = workspace().join(floor).join("src");
        newest(&sources).is_some_and(|changed| changed > built)
    })
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(|entry| match entry.file_type().ok()?.is_dir() {
            true => newest(&entry.path()),
            false => entry.metadata().ok()?.modified().ok(),
        })
        .max()
}

/// Builds the whole workspace's programs, so that dependencies keep the features they have in it.
fn build(release: bool) {
    eprintln!("building janua, which is missing or older than its sources");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--workspace", "--bins"]).current_dir(workspace());
    if release {
        build.arg("--release");
    }
    let status = build.status().expect("cargo runs");
    assert!(status.success(), "janua cannot be built");
}
