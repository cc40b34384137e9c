//! How many connections there may be: in all, and from one address.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use ipnet::IpNet;

use crate::limits::key::Network;
use crate::settings::Settings;

/// Counts connections.
pub struct Admission {
    most: usize,
    most_per_network: u32,
    exempt: Vec<IpNet>,
    all: AtomicUsize,
    by_network: DashMap<Network, u32>,
}

/// The place of one connection, free again when dropped.
pub struct Seat {
    admission: Arc<Admission>,
    network: Option<Network>,
}

impl Admission {
    /// As many connections as the settings allow.
    pub fn new(settings: &Settings) -> Self {
        Self {
            most: settings.connections.total,
            most_per_network: settings.connections.per_address,
            exempt: settings.trusted_proxies.clone(),
            all: AtomicUsize::new(0),
            by_network: DashMap::new(),
        }
    }

    /// A seat, when there is one. A trusted proxy speaks for many clients, so its own address does
    /// not count.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return refuse("total");
        }
        let mut seat = Seat { admission: Arc::clone(self), network: None };
        let peer = peer.to_canonical();
        if self.exempt.iter().any(|net| net.contains(&peer)) {
            return Some(seat);
        }
        let network = Network::of(peer);
        let mut present = self.by_network.entry(network).or_insert(0);
        if *present >= self.most_per_network {
            drop(present);
            return refuse("address");
        }
        *present += 1;
        seat.network = Some(network);
        drop(present);
        Some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admission.all.fetch_sub(1, Ordering::Relaxed);
        let Some(network) = self.network else { return };
        self.admission.by_network.remove_if_mut(&network, |_, present| {
            *present -= 1;
            *present == 0
        });
    }
}

fn refuse(reason: &'static str) -> Option<Seat> {
    metrics::counter!("janua_http_connections_refused_total", "reason" => reason).increment(1);
    tracing::debug!(reason, "a connection was refused");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(total: usize, per_address: u32) -> Arc<Admission> {
        let mut settings = Settings::default();
        settings.connections.total = total;
        settings.connections.per_address = per_address;
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Arc::new(Admission::new(&settings))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_every_seat() {
        let admission = admission(10, 2);
        let first = admission.admit(ip("192.0.2.1")).unwrap();
        let _second = admission.admit(ip("192.0.2.1")).unwrap();
        assert!(admission.admit(ip("192.0.2.1")).is_none());
        assert!(admission.admit(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(admission.admit(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_trusted_proxy_counts_in_the_total_alone() {
        let admission = admission(3, 1);
        let seats: Vec<_> = (0..3).map(|_| admission.admit(ip("10.0.0.1")).unwrap()).collect();
        assert!(admission.admit(ip("10.0.0.1")).is_none());
        drop(seats);
        assert!(admission.admit(ip("10.0.0.1")).is_some());
        assert!(admission.by_network.is_empty());
    }
}
