//! Writes a small database of addresses (MaxMind DB file format 2.0), IPv4 and IPv6.

use std::net::IpAddr;

/// One side of a node of the search tree.
#[derive(Clone, Copy)]
enum Side {
    Empty,
    Node(usize),
    Data(usize),
}

/// A network's address and length, its country, region and city.
pub type Entry<'a> = (&'a str, usize, &'a str, &'a str, &'a str);

/// The bytes of a database with these networks; none may lie within another.
pub fn database(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Side::Empty; 2]], Vec::new());
    for (address, length, country, region, city) in entries {
        let at = data.len();
        data.extend(record(country, region, city));
        insert(&mut nodes, &bits(address, *length), at);
    }
    let mut file = Vec::new();
    for side in nodes.iter().flatten() {
        let value = match side {
            Side::Empty => nodes.len(),
            Side::Node(node) => *node,
            Side::Data(at) => nodes.len() + 16 + at,
        };
        file.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(metadata(nodes.len()));
    file
}

/// The path through the tree: IPv4 lies in `::/96`.
fn bits(address: &str, length: usize) -> Vec<usize> {
    let (bytes, length) = match address.parse().expect("an address") {
        IpAddr::V4(address) => (address.to_ipv6_compatible().octets(), length + 96),
        IpAddr::V6(address) => (address.octets(), length),
    };
    (0..length).map(|bit| usize::from(bytes[bit / 8] >> (7 - bit % 8) & 1)).collect()
}

fn insert(nodes: &mut Vec<[Side; 2]>, path: &[usize], data: usize) {
    let (last, path) = path.split_last().expect("a network that is not everything");
    let mut node = 0;
    for bit in path {
        node = match nodes[node][*bit] {
            Side::Node(next) => next,
            _ => {
                nodes.push([Side::Empty; 2]);
                let next = nodes.len() - 1;
                nodes[node][*bit] = Side::Node(next);
                next
            }
        };
    }
    nodes[node][*last] = Side::Data(data);
}

fn record(country: &str, region: &str, city: &str) -> Vec<u8> {
    let code = |code: &str| map(&[("iso_code", text(code))]);
    map(&[
        ("country", code(country)),
        ("subdivisions", array(&[code(region)])),
        ("city", map(&[("names", map(&[("en", text(city))]))])),
    ])
}

fn metadata(nodes: usize) -> Vec<u8> {
    map(&[
        ("node_count", number(6, nodes as u32)),
        ("record_size", number(5, 24)),
        ("ip_version", number(5, 6)),
        ("database_type", text("Test-City")),
        ("languages", array(&[text("en")])),
        ("binary_format_major_version", number(5, 2)),
        ("binary_format_minor_version", number(5, 0)),
        ("build_epoch", [vec![4, 2], 1_736_937_000_u32.to_be_bytes().to_vec()].concat()),
        ("description", map(&[("en", text("addresses of a test"))])),
    ])
}

fn control(kind: u8, size: usize) -> u8 {
    assert!(size < 29, "longer values need another form");
    kind << 5 | size as u8
}

fn text(text: &str) -> Vec<u8> {
    [&[control(2, text.len())], text.as_bytes()].concat()
}

fn number(kind: u8, number: u32) -> Vec<u8> {
    let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [vec![control(kind, bytes.len())], bytes].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let inside = entries.iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
    [control(7, entries.len())].into_iter().chain(inside).collect()
}

/// Its kind does not fit into the control byte, and follows it.
fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [vec![control(0, items.len()), 11 - 7], items.concat()].concat()
}
