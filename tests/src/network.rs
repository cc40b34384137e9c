//! Hosts of our own: network namespaces on one bridge, between which packets can be lost on request.
//!
//! Needs root, and Debian's iproute2 and iptables; everything is taken down when it is dropped.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Networks that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A bridge, and hosts on it that have the numbers 1, 2, 3 …
pub struct Network {
    name: String,
    subnet: [u8; 3],
    hosts: usize,
}

impl Network {
    /// So many hosts; none where this machine does not let us make any. Where it does, whatever else
    /// is missing fails the test.
    pub fn of(hosts: usize) -> Option<Self> {
        sweep();
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let subnet = [10, 64 + (process % 128) as u8, ((process / 128 + made) % 256) as u8];
        // Names of interfaces have at most 15 characters.
        let name = format!("jt{process:x}x{made:x}");
        let network = Self { name, subnet, hosts };
        if !runs(&format!("ip netns add {}", network.namespace(1))) {
            return None;
        }
        network.makes_hosts();
        assert!(network.reaches(1, 2), "its hosts do not reach each other");
        Some(network)
    }

    fn makes_hosts(&self) {
        let (bridge, here) = (&self.name, format!("{}/24", self.ip(254)));
        let mut lines = vec![
            format!("ip link add {bridge} type bridge"),
            format!("ip address add {here} dev {bridge}"),
            format!("ip link set {bridge} up"),
        ];
        for host in 1..=self.hosts {
            let (space, outside, inside) =
                (self.namespace(host), format!("{bridge}h{host}"), format!("{bridge}i{host}"));
            let address = format!("{}/24", self.address(host));
            lines.extend((host > 1).then(|| format!("ip netns add {space}")));
            lines.extend([
                format!("ip link add {outside} type veth peer name {inside} netns {space}"),
                format!("ip link set {outside} master {bridge} up"),
                format!("ip -n {space} address add {address} dev {inside}"),
                format!("ip -n {space} link set {inside} up"),
                format!("ip -n {space} link set lo up"),
            ]);
        }
        lines.iter().for_each(|line| assert!(runs(line), "{line}"));
    }

    /// Whether one host answers another, if only that nobody listens there.
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        let (space, address) = (self.namespace(from), self.address(to));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &space, "timeout", "1", "bash", "-c"]);
        command.arg(format!("exec 3<>/dev/tcp/{address}/1")).stderr(Stdio::null());
        /// What `timeout` ends with when it had to end the command.
        const NOT_IN_TIME: i32 = 124;
        command.status().is_ok_and(|status| status.code() != Some(NOT_IN_TIME))
    }

    fn ip(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, last)
    }

    /// Where a host is met.
    pub fn address(&self, host: usize) -> Ipv4Addr {
        self.ip(u8::try_from(host).expect("a few hosts"))
    }

    /// The namespace in which a host's programs run.
    pub fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }

    fn filters(&self, host: usize, rule: &str) {
        let line = format!("ip netns exec {} iptables -w {rule}", self.namespace(host));
        assert!(runs(&line), "{line}");
    }

    /// Nothing that one host sends reaches another.
    pub fn silences(&self, from: usize, to: usize) {
        self.filters(to, &format!("-A INPUT -s {} -j DROP", self.address(from)));
    }

    /// Two hosts do not reach each other.
    pub fn parts(&self, one: usize, other: usize) {
        self.silences(one, other);
        self.silences(other, one);
    }

    /// A host reaches no other, and none reaches it; clients still do.
    pub fn isolates(&self, host: usize) {
        self.others(host).for_each(|other| self.parts(host, other));
    }

    /// The hosts beside this one.
    pub fn others(&self, host: usize) -> impl Iterator<Item = usize> + use<> {
        (1..=self.hosts).filter(move |other| *other != host)
    }

    /// Of what each host is sent by another one, this share is lost.
    pub fn loses(&self, percent: u64) {
        for host in 1..=self.hosts {
            for other in self.others(host) {
                let from = self.address(other);
                let chance = format!("-m statistic --mode random --probability 0.{percent:02}");
                self.filters(host, &format!("-A INPUT -s {from} {chance} -j DROP"));
            }
        }
    }

    /// Nothing is lost any more.
    pub fn heals(&self) {
        (1..=self.hosts).for_each(|host| self.filters(host, "-F INPUT"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in 1..=self.hosts {
            runs(&format!("ip netns del {}", self.namespace(host)));
        }
        runs(&format!("ip link del {}", self.name));
    }
}

/// Takes down what tests that were killed have left.
fn sweep() {
    let left = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for space in left.filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = space.strip_prefix("jt").and_then(|rest| rest.split_once('x'));
        let Some((bridge, process)) = space.split('-').next().zip(process) else { continue };
        let process = u32::from_str_radix(process.0, 16).unwrap_or_default();
        if process > 0 && !std::path::Path::new(&format!("/proc/{process}")).exists() {
            runs(&format!("ip netns del {space}"));
            runs(&format!("ip link del {bridge}"));
        }
    }
}

fn runs(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
