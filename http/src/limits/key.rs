//! Whom a bucket belongs to.

use std::net::IpAddr;

use janua_storage::ids::{ApiKeyId, SessionId};

/// What counts as one client address: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u64);

impl Network {
    /// The network of an address; an IPv4 address in IPv6 clothes is the IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // 0::/64 is no client's network, so the two families cannot meet.
            IpAddr::V4(address) => Self(u64::from(u32::from(address))),
            IpAddr::V6(address) => Self((u128::from(address) >> 64) as u64),
        }
    }
}

/// The owner of a bucket, always of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// Who shows no credential, by address; the number is the tenant's.
    Network(u32, Network),
    /// A secret key: one bucket, wherever its servers are.
    SecretKey(ApiKeyId),
    /// A publishable key: one bucket per visitor, so that none can use up an application.
    PublishableKey(ApiKeyId, Network),
    /// A session that comes without a key.
    Session(SessionId),
}

impl Key {
    /// The bucket of an address within a tenant.
    pub fn of_network(tenant: u32, network: Network) -> Self {
        Self::Network(tenant, network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_its_first_half() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
