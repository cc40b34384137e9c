//! The machine that figures belong to, and what the kernel says of processes.

use std::fs;
use std::time::Duration;

/// Prints what figures should be read with.
pub fn print() {
    let processor = field("/proc/cpuinfo", "model name");
    let memory = field("/proc/meminfo", "MemTotal");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores of {processor}, {memory} of memory, Linux {}\n", kernel.trim());
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("?".into(), |(_, value)| value.trim().into())
}

/// CPU time that a process has used, in user and system (`proc(5)`, fields 14 and 15).
pub fn cpu_of(process: u32) -> Duration {
    /// `USER_HZ`, which Linux fixes at 100 on every architecture that we build for.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold spaces: count from behind it.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = after_name.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
    let ticks = fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0);
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Memory of a process in MiB: resident now, and the most it ever was.
pub fn memory_of(process: u32) -> (f64, f64) {
    let file = format!("/proc/{process}/status");
    let mebibytes = |name: &str| {
        let text = field(&file, name);
        text.trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
    };
    (mebibytes("VmRSS"), mebibytes("VmHWM"))
}
