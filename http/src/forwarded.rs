//! Who is calling: the peer of the connection, or, when that is a proxy we trust, the client that
//! it names. `X-Forwarded-Proto` and `-Host` are never used.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The client's address. `X-Forwarded-For` is read from its end, where our own proxies write, up to
/// the first hop that is not ours: whatever stands before that one, the client may have made up.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_ours = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut client = peer.to_canonical();
    if trusted.is_empty() || !is_ours(client) {
        return client;
    }
    for line in headers.get_all("x-forwarded-for").iter().rev() {
        for hop in line.to_str().unwrap_or_default().rsplit(',') {
            let Some(address) = parse(hop.trim()) else { return client };
            client = address;
            if !is_ours(client) {
                return client;
            }
        }
    }
    client
}

/// Some proxies add the port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn seen(peer: &str, trusted: &[&str], forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(seen("203.0.113.7", &[], &["198.51.100.1"]), "203.0.113.7");
        assert_eq!(seen("203.0.113.7", &["10.0.0.0/8"], &["198.51.100.1"]), "203.0.113.7");
    }

    #[test]
    fn the_last_hop_that_is_not_ours_is_the_client() {
        let ours = ["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(seen("10.0.0.1", &ours, &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &ours, &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &ours, &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", &ours, &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(seen("2001:db8::1", &ours, &["[2606::1]:80"]), "2606::1");
    }

    #[test]
    fn nonsense_ends_the_search_at_our_proxy() {
        assert_eq!(seen("10.0.0.1", &["10.0.0.0/8"], &["1.1.1.1, unknown"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.0/8"], &[]), "10.0.0.1");
    }
}
