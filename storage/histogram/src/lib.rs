//! Stands in for the crate of this name, with which openraft keeps statistics of itself that nothing
//! here reads. The crate fills tables for every precision it knows at its first use: 27 MB, more than
//! the rest of an idle node, and a third of its start. What a node does is measured by `metrics`.
//!
//! Only what openraft calls is here, and it counts nothing.

use std::fmt;
use std::marker::PhantomData;

/// A histogram that stays empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram<T = ()>(PhantomData<T>);

impl<T> Histogram<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Counts nothing.
    pub const fn record(&mut self, _value: u64) {}

    /// Counts nothing, often.
    pub const fn record_n(&mut self, _value: u64, _count: u64) {}

    /// All zeros.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats::default()
    }
}

/// What a histogram says of its samples, at some percentiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the percentile in its name")]
pub struct PercentileStats {
    /// How many there are.
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples", self.samples)
    }
}

/// A chart without bars.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// An empty one.
    pub const fn new() -> Self {
        Self
    }

    /// Draws nothing.
    pub fn add(self, _name: &str, _histogram: Histogram) -> Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not counted")
    }
}
