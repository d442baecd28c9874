//! Networks of addresses, and the addresses of links.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses with a common beginning: `172.17.0.0/16`. What follows the beginning is zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Subnet {
    first: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// The network that an address is in; a prefix that is too long is cut.
    pub fn of(address: IpAddr, prefix: u8) -> Subnet {
        let prefix = prefix.min(bits(address));
        let mask = !ones(bits(address) - prefix);
        Subnet { first: address_from(address, number(address) & mask), prefix }
    }

    /// Its first address, which is no host's.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Its last address.
    pub fn last(&self) -> IpAddr {
        address_from(self.first, number(self.first) | ones(bits(self.first) - self.prefix))
    }

    /// How many bits all its addresses have in common.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is of IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.first.is_ipv6()
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && Subnet::of(address, self.prefix).first == self.first
    }

    /// Whether all of another network is in it.
    pub fn holds(&self, other: &Subnet) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }

    /// Whether two networks have an address in common.
    pub fn overlaps(&self, other: &Subnet) -> bool {
        self.holds(other) || other.holds(self)
    }

    /// The address at which all hosts are reached; networks of two and IPv6 have none.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.last() {
            IpAddr::V4(last) if self.prefix < 31 => Some(last),
            _ => None,
        }
    }

    /// Whether one of its addresses is no host's: the first, and of IPv4 the last too, unless there
    /// are but two.
    pub fn is_edge(&self, address: IpAddr) -> bool {
        let is_large = number(self.last()) - number(self.first) > 1;
        let is_last = address.is_ipv4() && address == self.last();
        is_large && (address == self.first || is_last)
    }

    /// The addresses that hosts may have, in order.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (first, last) = (number(self.first), number(self.last()));
        let like = self.first;
        let edge = u128::from(self.is_edge(like));
        let ipv4_edge = if like.is_ipv4() { edge } else { 0 };
        (first + edge..=last - ipv4_edge).map(move |number| address_from(like, number))
    }

    /// Its parts of a longer prefix, in order.
    pub fn parts(&self, prefix: u8) -> impl Iterator<Item = Subnet> + use<> {
        let step = 1u128 << (bits(self.first).saturating_sub(prefix)).min(127);
        let (first, last, like) = (number(self.first), number(self.last()), self.first);
        let parts = std::iter::successors(Some(first), move |at| at.checked_add(step));
        parts
            .take_while(move |at| *at <= last)
            .map(move |at| Subnet::of(address_from(like, at), prefix))
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn ones(count: u8) -> u128 {
    1u128.checked_shl(count.into()).map_or(u128::MAX, |one| one - 1)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[allow(clippy::cast_possible_truncation)] // A number made from 32 bits has no more.
fn address_from(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.first, self.prefix)
    }
}

/// Why a text is no network, in docker's words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubnetError {
    /// It is nothing of the kind.
    #[error("invalid CIDR address: {0}")]
    NoBlock(String),
    /// It names an address in the network in the place of the first.
    #[error("it should be {0}")]
    NotFirst(Subnet),
}

impl Subnet {
    /// The network that a text names by its first address.
    pub fn by_first(text: &str) -> Result<Subnet, SubnetError> {
        let (address, prefix) = parts_of(text)?;
        let subnet = Subnet::of(address, prefix);
        if subnet.first == address { Ok(subnet) } else { Err(SubnetError::NotFirst(subnet)) }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Subnet, SubnetError> {
        parts_of(text).map(|(address, prefix)| Subnet::of(address, prefix))
    }
}

fn parts_of(text: &str) -> Result<(IpAddr, u8), SubnetError> {
    let wrong = || SubnetError::NoBlock(text.to_owned());
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    if prefix > bits(address) { Err(wrong()) } else { Ok((address, prefix)) }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> String {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Subnet, SubnetError> {
        text.parse()
    }
}

/// The address of a link: `02:42:ac:11:00:02`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The one that docker derives from an IPv4 address, so that whoever gets the address next is
    /// reached at once.
    pub fn from_ipv4(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        Mac([2, 0x42, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(to, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// Why a text is no link's address, in docker's words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is not a valid mac address")]
pub struct MacError(pub String);

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Mac, MacError> {
        let wrong = || MacError(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let digits = |part: &&str| part.len() == 2 && !part.contains('+');
            let part = parts.next().filter(digits).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Mac(bytes)) }
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Mac, MacError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn reads_and_writes() {
        assert_eq!(subnet("172.17.5.9/16").to_string(), "172.17.0.0/16");
        assert_eq!(subnet("fd00::1/64").to_string(), "fd00::/64");
        assert_eq!(subnet("0.0.0.0/0").last().to_string(), "255.255.255.255");
        assert_eq!(subnet("::/0").prefix(), 0);
        for wrong in ["", "172.17.0.0", "172.17.0.0/33", "fd00::/129", "x/8", "1.2.3/8"] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
        let strictly = |text| Subnet::by_first(text).map_err(|error| error.to_string());
        assert_eq!(strictly("10.95.0.0/24"), Ok(subnet("10.95.0.0/24")));
        assert_eq!(strictly("10.95.0.7/24"), Err("it should be 10.95.0.0/24".to_owned()));
        assert_eq!(strictly("fd00::7/64"), Err("it should be fd00::/64".to_owned()));
        assert_eq!(strictly("x"), Err("invalid CIDR address: x".to_owned()));
        let mac = Mac::from_ipv4(Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!("02:42:ac:11:00:02".parse(), Ok(mac));
        for wrong in ["", "02:42", "02:42:ac:11:00:02:03", "02:42:ac:11:00:+2"] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn knows_what_is_in_it() {
        let net = subnet("172.17.0.0/16");
        assert!(net.contains("172.17.255.255".parse().unwrap()));
        assert!(!net.contains("172.18.0.0".parse().unwrap()));
        assert!(!net.contains("::".parse().unwrap()));
        assert!(net.overlaps(&subnet("172.17.3.0/24")) && net.overlaps(&subnet("172.0.0.0/8")));
        assert!(!net.overlaps(&subnet("172.16.0.0/16")));
        assert_eq!(net.broadcast(), Some(Ipv4Addr::new(172, 17, 255, 255)));
    }

    #[test]
    fn counts_hosts_and_parts() {
        let hosts = |text| subnet(text).hosts().map(|it| it.to_string()).collect::<Vec<_>>();
        assert_eq!(hosts("10.0.0.0/30"), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(hosts("10.0.0.0/31"), ["10.0.0.0", "10.0.0.1"]);
        assert_eq!(hosts("10.0.0.7/32"), ["10.0.0.7"]);
        assert_eq!(hosts("fd00::/126"), ["fd00::1", "fd00::2", "fd00::3"]);
        let parts: Vec<_> = subnet("192.168.0.0/16").parts(20).map(|it| it.to_string()).collect();
        assert_eq!((parts.len(), parts[15].as_str()), (16, "192.168.240.0/20"));
        assert_eq!(subnet("10.0.0.0/8").parts(8).count(), 1);
        assert_eq!(subnet("255.0.0.0/8").parts(16).count(), 256);
    }
}
