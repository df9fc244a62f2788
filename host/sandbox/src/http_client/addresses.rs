//! Which addresses a granted host may have.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Host;

/// Where clouds tell their machines who they are, with credentials. Only a range of this one address reaches it.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Which addresses a granted host may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The grant names the address itself: this one.
    This(IpAddr),
    /// `localhost`: this machine.
    Loopback,
    /// A name: addresses in the public internet.
    Public,
    /// A name that is granted with ranges: addresses in these ranges, and no others.
    Within(Vec<IpNet>),
}

impl Reach {
    /// What a granted host may have, with the ranges that are granted with it.
    pub(crate) fn of(host: &Host<&str>, ranges: &[IpNet]) -> Self {
        match host {
            Host::Ipv4(address) => Self::This((*address).into()),
            Host::Ipv6(address) => Self::This((*address).into()),
            Host::Domain(name) if name.trim_end_matches('.').eq_ignore_ascii_case("localhost") => Self::Loopback,
            Host::Domain(_) if ranges.is_empty() => Self::Public,
            Host::Domain(_) => Self::Within(ranges.to_vec()),
        }
    }

    /// Whether a connection to this address may be made.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !is_nobody(address)
            && match self {
                Self::This(this) => this.to_canonical() == address,
                Self::Loopback => address.is_loopback(),
                Self::Public => is_public(address),
                Self::Within(ranges) => within(ranges, address),
            }
    }
}

/// Whether an address lies in one of the ranges, as those meant who wrote them: what is dangerous must be named
/// itself, and what carries another address inside counts as both.
fn within(ranges: &[IpNet], address: IpAddr) -> bool {
    let carried = match address {
        IpAddr::V6(v6) => carried(v6).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    let holds = |range: &IpNet| {
        range.contains(&address)
            && (!METADATA.contains(&address) || range.prefix_len() == range.max_prefix_len())
            && (!is_link_local(address) || is_link_local(range.network()) && is_link_local(range.broadcast()))
    };
    ranges.iter().any(holds) && carried.is_none_or(|v4| is_public(v4) || within(ranges, v4))
}

/// Where no other machine can be.
fn is_nobody(address: IpAddr) -> bool {
    let reserved = matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240);
    address.is_unspecified() || address.is_multicast() || reserved
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether an address lies in the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 240..=255, _, _) // this network, private, loopback, reserved and broadcast
            | (100, 64..=127, _) // shared address space
            | (169, 254, _) // link-local, cloud metadata
            | (172, 16..=31, _) // private
            | (192, 0, 0 | 2) // protocol assignments, documentation
            | (192, 88, 99) // 6to4 relays
            | (192, 168, _) // private
            | (198, 18..=19, _) // benchmarks
            | (198, 51, 100) | (203, 0, 113) // documentation
    );
    !special && !address.is_multicast()
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, behind NAT64 or 6to4.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => address.to_ipv4(),
    }
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = carried(address) {
        // Compatible addresses, and with them `::` and `::1`, lead nowhere.
        let leads = address.to_ipv4_mapped().is_some() || address.to_ipv4().is_none();
        return leads && is_public_v4(v4);
    }
    match address.segments() {
        // Protocol assignments (Teredo too), documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Only 2000::/3 is global unicast; unique local, link-local and multicast lie outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(host: &str, ranges: &[&str], address: &str, permitted: bool) {
        let ranges: Vec<IpNet> = ranges.iter().map(|range| range.parse().unwrap()).collect();
        let host = Host::parse(host).unwrap();
        let host = match &host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(v4) => Host::Ipv4(*v4),
            Host::Ipv6(v6) => Host::Ipv6(*v6),
        };
        let found = Reach::of(&host, &ranges).permits(address.parse().unwrap());
        assert_eq!(found, permitted, "{host} within {ranges:?} at {address}");
    }

    #[test]
    fn a_name_alone_reaches_public_addresses_only() {
        for (public, addresses) in [
            (
                false,
                "0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 100.100.100.200 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1 \
                 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 \
                 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::ffff:10.0.0.1 \
                 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::10.0.0.1 ::8.8.8.8 64:ff9b::a00:1 64:ff9b::7f00:1 \
                 64:ff9b:1::a00:1 2002:a00:1:: 2002:7f00:1:: 2002:a9fe:a9fe:: 2001::1 2001:0:4136:e378::1 2001:db8::1 \
                 3fff::1 3fff:fff::1 100::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 febf::1 fec0::1 ff02::1",
            ),
            (
                true,
                "8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 198.20.0.1 \
                 223.255.255.255 2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808:: 3fff:1000::1",
            ),
        ] {
            for address in addresses.split_whitespace() {
                check("erp.example", &[], address, public);
            }
        }
    }

    #[test]
    fn ranges_stand_instead_of_the_public_internet() {
        let corp = &["10.1.0.0/16", "fd00::/8", "192.168.7.9/32"];
        check("erp.example", corp, "10.1.2.3", true);
        check("erp.example", corp, "::ffff:10.1.2.3", true);
        check("erp.example", corp, "10.2.0.1", false);
        check("erp.example", corp, "8.8.8.8", false);
        check("erp.example", corp, "127.0.0.1", false);
        check("erp.example", corp, "192.168.7.9", true);
        check("erp.example", corp, "192.168.7.10", false);
        check("erp.example", corp, "fd12::1", true);
        // In the range, and dangerous: must be named itself.
        check("erp.example", corp, "fd00:ec2::254", false);
        check("erp.example", &["fd00:ec2::254/128"], "fd00:ec2::254", true);
        check("erp.example", &["169.0.0.0/8"], "169.254.1.1", false);
        check("erp.example", &["169.254.0.0/16"], "169.254.1.1", true);
        check("erp.example", &["169.254.0.0/16"], "169.254.169.254", false);
        check("erp.example", &["169.254.169.254/32"], "169.254.169.254", true);
        check("erp.example", &["fe80::/10"], "fe80::1", true);
        check("erp.example", &["fc00::/6"], "fe80::1", false);
        check("erp.example", &["100.64.0.0/10"], "100.100.100.200", false);
        // What is carried inside counts too.
        check("erp.example", &["64:ff9b::/96"], "64:ff9b::a00:1", false);
        check("erp.example", &["64:ff9b::/96"], "64:ff9b::808:808", true);
        check("erp.example", &["64:ff9b::/96", "10.0.0.0/8"], "64:ff9b::a00:1", true);
        check("erp.example", &["2002::/16"], "2002:7f00:1::", false);
        // Nobody is there.
        for range in ["0.0.0.0/0", "::/0"] {
            for address in "0.0.0.0 0.1.2.3 255.255.255.255 224.0.0.1 240.1.1.1 :: ff02::1".split(' ') {
                check("erp.example", &[range], address, false);
            }
        }
    }

    #[test]
    fn an_address_and_localhost_are_only_themselves() {
        check("10.1.2.3", &[], "10.1.2.3", true);
        check("10.1.2.3", &[], "10.1.2.4", false);
        check("10.1.2.3", &[], "::ffff:10.1.2.3", true);
        check("[::1]", &[], "::1", true);
        check("[::1]", &[], "127.0.0.1", false);
        check("0.0.0.0", &[], "0.0.0.0", false);
        check("localhost", &[], "127.0.0.1", true);
        check("LOCALHOST.", &[], "::1", true);
        check("localhost", &[], "10.0.0.1", false);
        check("localhost", &[], "8.8.8.8", false);
        // Only that one name: others are resolved like any.
        check("localhost.localdomain", &[], "127.0.0.1", false);
        check("a.localhost", &[], "127.0.0.1", false);
    }
}
