//! Prints what nodes log, each line with the machine and its moment: for whoever looks into a seed.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::host;

/// The time of the world that is being told of.
pub static NOW: AtomicU64 = AtomicU64::new(0);

/// Whether somebody looks into a seed.
pub fn is_wanted() -> bool {
    std::env::var_os("JANUA_TOLD").is_some()
}

/// Says what happens.
pub fn tell(what: impl fmt::Display) {
    if is_wanted() {
        println!("{:>6} {what}", NOW.load(Ordering::Relaxed));
    }
}

/// Tells of everything from now on, in this thread.
pub fn listen() -> Option<tracing::subscriber::DefaultGuard> {
    is_wanted().then(|| tracing::subscriber::set_default(Told))
}

struct Told;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let all = std::env::var("JANUA_TOLD").is_ok_and(|told| told == "all");
        let level = if all { Level::DEBUG } else { Level::INFO };
        *metadata.level() <= level && (all || metadata.target().starts_with("janua"))
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let node = host::network().map_or(0, |(node, _)| node);
        tell(format_args!("{node} {}{}", event.metadata().level(), line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
