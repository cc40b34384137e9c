//! A bad disk and a wrong clock for a real program: a library between it and its system
//! (`meddling/meddling.c`), which obeys a file while the program runs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::program;

/// Where each order and each count lies in the file; the same as in the library.
const SLOW_US: u64 = 0;
const FULL: u64 = 8;
const AHEAD_MS: u64 = 16;
const SLOWED: u64 = 24;
const REFUSED: u64 = 32;
const MISLED: u64 = 40;
/// How long the file is.
const LENGTH: u64 = 48;

/// What one program's system is to be like.
pub struct Meddling {
    orders: File,
    path: PathBuf,
    data_dir: PathBuf,
}

impl Meddling {
    /// For a program that keeps its data in `data_dir`; nothing is wrong at first.
    pub fn with(folder: &Path, data_dir: &Path) -> Self {
        let path = folder.join("orders");
        let orders = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let orders = orders.expect("a file");
        orders.set_len(LENGTH).expect("a file of its length");
        Self { orders, path, data_dir: data_dir.to_owned() }
    }

    /// What the program is started with.
    pub fn variables(&self) -> [(&'static str, OsString); 3] {
        [
            ("LD_PRELOAD", library().into()),
            ("MEDDLING_ORDERS", self.path.clone().into()),
            ("MEDDLING_FOLDER", self.data_dir.clone().into()),
        ]
    }

    /// Whatever is brought to the disk takes so much longer.
    pub fn slows(&self, by: Duration) {
        self.orders_at(SLOW_US, i64::try_from(by.as_micros()).expect("a moment"));
    }

    /// Nothing more fits on the disk.
    pub fn fills(&self) {
        self.orders_at(FULL, 1);
    }

    /// The clock is so far ahead.
    pub fn puts_ahead(&self, by: Duration) {
        self.orders_at(AHEAD_MS, i64::try_from(by.as_millis()).expect("a while"));
    }

    /// Everything is as it should be.
    pub fn ends(&self) {
        for order in [SLOW_US, FULL, AHEAD_MS] {
            self.orders_at(order, 0);
        }
    }

    /// How often the program has met with a slow disk, a full one, and a wrong clock.
    pub fn met(&self) -> [i64; 3] {
        [SLOWED, REFUSED, MISLED].map(|place| {
            let mut bytes = [0; 8];
            self.orders.read_exact_at(&mut bytes, place).expect("a count");
            i64::from_ne_bytes(bytes)
        })
    }

    fn orders_at(&self, place: u64, order: i64) {
        self.orders.write_all_at(&order.to_ne_bytes(), place).expect("an order");
    }
}

/// The library, built beside the program when it is missing or older than its source.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = program::workspace().join("tests/meddling/meddling.c");
        let library = program::janua().with_file_name("meddling.so");
        let changed =
            |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        if changed(&library) < changed(&source) {
            // Another test may be doing the same.
            let mine = library.with_extension(std::process::id().to_string());
            let mut gcc = Command::new("gcc");
            gcc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&mine).arg(&source);
            assert!(gcc.status().expect("gcc runs").success(), "the library cannot be built");
            fs::rename(&mine, &library).expect("the library in its place");
        }
        library
    })
}
