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
    /// So many hosts; none where this machine does not let us make them.
    pub fn of(hosts: usize) -> Option<Self> {
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let subnet = [10, 64 + (process % 128) as u8, ((process / 128 + made) % 256) as u8];
        // Names of interfaces have at most 15 characters.
        let name = format!("jt{:x}{made:x}", process % 0x10_0000);
        let network = Self { name, subnet, hosts };
        network.is_made().then_some(network)
    }

    fn is_made(&self) -> bool {
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
            lines.extend([
                format!("ip netns add {space}"),
                format!("ip link add {outside} type veth peer name {inside} netns {space}"),
                format!("ip link set {outside} master {bridge} up"),
                format!("ip -n {space} address add {address} dev {inside}"),
                format!("ip -n {space} link set {inside} up"),
                format!("ip -n {space} link set lo up"),
                format!("ip netns exec {space} iptables -w -L -n"),
            ]);
        }
        lines.iter().all(|line| runs(line))
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

fn runs(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
