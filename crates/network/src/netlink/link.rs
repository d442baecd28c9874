//! Links, addresses and routes, as requests and as lists.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::{ACK, CREATE, DUMP, EXCLUSIVE, REPLACE};
use super::{Attributes, Connection, NetlinkError, Requests, attributes, text};
use crate::{Mac, Subnet};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;

const LINK_MAC: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_PARENT: u16 = 5;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_FAMILIES: u16 = 26;
const LINK_NAMESPACE: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const UP: u32 = 1;

const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// What a new link is.
pub(crate) enum LinkKind<'a> {
    /// A switch.
    Bridge,
    /// A link that goes nowhere.
    Dummy,
    /// One end of a cable; the other one is born where it belongs, so nothing has to be moved.
    Veth(&'a Link<'a>),
    /// A second address on a parent link, by MAC; the number is the mode.
    Macvlan(u32),
    /// A second address on a parent link, by IP; mode and flags.
    Ipvlan(u16, u16),
    /// A parent link's frames with this tag.
    Vlan(u16),
}

impl LinkKind<'_> {
    fn name(&self) -> &'static str {
        match self {
            LinkKind::Bridge => "bridge",
            LinkKind::Dummy => "dummy",
            LinkKind::Veth(_) => "veth",
            LinkKind::Macvlan(_) => "macvlan",
            LinkKind::Ipvlan(..) => "ipvlan",
            LinkKind::Vlan(_) => "vlan",
        }
    }
}

/// A link as it shall become. What is `None` is left to the kernel.
#[derive(Default)]
pub(crate) struct Link<'a> {
    pub(crate) name: &'a str,
    pub(crate) mac: Option<Mac>,
    pub(crate) mtu: Option<u32>,
    /// The bridge that it is plugged into.
    pub(crate) master: Option<u32>,
    /// The link it stands on.
    pub(crate) parent: Option<u32>,
    pub(crate) namespace: Option<BorrowedFd<'a>>,
}

impl Link<'_> {
    fn fill(&self, at: &mut Attributes<'_>) {
        at.text(LINK_NAME, self.name);
        if let Some(mac) = self.mac {
            at.put(LINK_MAC, &mac.0);
        }
        let numbers =
            [(LINK_MTU, self.mtu), (LINK_MASTER, self.master), (LINK_PARENT, self.parent)];
        for (kind, number) in numbers {
            if let Some(number) = number {
                at.number(kind, number);
            }
        }
        if let Some(namespace) = self.namespace {
            at.put(LINK_NAMESPACE, &namespace.as_raw_fd().to_ne_bytes());
        }
    }
}

fn header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

/// An address for a link.
pub(crate) struct Address {
    pub(crate) link: u32,
    /// The address with its network.
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

/// A way to everywhere: out of which link, and by whom.
pub(crate) struct Route {
    pub(crate) link: u32,
    pub(crate) gateway: IpAddr,
}

impl Requests {
    /// Makes a link.
    pub(crate) fn new_link(&mut self, link: &Link<'_>, kind: &LinkKind<'_>) {
        let name = format!("make the {} {}", kind.name(), link.name);
        self.add(name, NEW_LINK, ACK | CREATE | EXCLUSIVE, &header(0, 0, 0), |at| {
            link.fill(at);
            at.nest(LINK_INFO, |at| {
                at.put(INFO_KIND, kind.name().as_bytes());
                at.nest(INFO_DATA, |at| kind_data(kind, at));
            });
        });
    }

    /// Switches a link on.
    pub(crate) fn link_up(&mut self, name: &str) {
        let doing = format!("switch the link {name} on");
        self.add(doing, NEW_LINK, ACK, &header(0, UP, UP), |at| at.text(LINK_NAME, name));
    }

    /// Keeps a link that is off from giving itself an IPv6 address when it is switched on.
    pub(crate) fn no_ipv6_of_its_own(&mut self, name: &str) {
        const GENERATION_MODE: u16 = 8;
        let doing = format!("keep the link {name} from an IPv6 address");
        self.add(doing, NEW_LINK, ACK, &header(0, 0, 0), |at| {
            at.text(LINK_NAME, name);
            at.nest(LINK_FAMILIES, |at| at.nest(IPV6.into(), |at| at.put(GENERATION_MODE, &[1])));
        });
    }

    /// Lets a bridge send frames back to the port that they came from, so that a container can reach
    /// itself where the host's address leads.
    pub(crate) fn hairpin(&mut self, name: &str) {
        const PORT_KIND: u16 = 4;
        const PORT_DATA: u16 = 5;
        const MODE: u16 = 4;
        let doing = format!("let the link {name} reach itself");
        self.add(doing, NEW_LINK, ACK, &header(0, 0, 0), |at| {
            at.text(LINK_NAME, name);
            at.nest(LINK_INFO, |at| {
                at.put(PORT_KIND, b"bridge");
                at.nest(PORT_DATA, |at| at.put(MODE, &[1]));
            });
        });
    }

    /// Takes a link away.
    pub(crate) fn delete_link(&mut self, name: &str) {
        let doing = format!("remove the link {name}");
        self.add(doing, DELETE_LINK, ACK, &header(0, 0, 0), |at| at.text(LINK_NAME, name));
    }

    /// Gives a link an address.
    pub(crate) fn new_address(&mut self, address: &Address) {
        const TO: u16 = 1;
        const OWN: u16 = 2;
        const BROADCAST: u16 = 4;
        const FLAGS: u16 = 8;
        // The address was given to nobody else: there is no need to ask around for a second.
        const NO_DUPLICATE_DETECTION: u32 = 2;
        let family = family(address.address);
        let mut fixed = [0; 8];
        fixed[..2].copy_from_slice(&[family, address.prefix]);
        fixed[4..].copy_from_slice(&address.link.to_ne_bytes());
        let name = format!("set the address {}/{}", address.address, address.prefix);
        self.add(name, NEW_ADDRESS, ACK | CREATE | EXCLUSIVE, &fixed, |at| {
            let bytes = octets(address.address);
            at.put(OWN, &bytes);
            at.put(TO, &bytes);
            match Subnet::of(address.address, address.prefix).broadcast() {
                Some(broadcast) => at.put(BROADCAST, &broadcast.octets()),
                None if family == IPV6 => at.number(FLAGS, NO_DUPLICATE_DETECTION),
                None => {}
            }
        });
    }

    /// Makes a route the default one, in the place of the one that is there.
    pub(crate) fn default_route(&mut self, route: &Route) {
        const LINK: u16 = 4;
        const GATEWAY: u16 = 5;
        const MAIN: u8 = 254;
        const STATIC: u8 = 3;
        const UNICAST: u8 = 1;
        let fixed = [family(route.gateway), 0, 0, 0, MAIN, STATIC, 0, UNICAST, 0, 0, 0, 0];
        self.add("set the default route", NEW_ROUTE, ACK | CREATE | REPLACE, &fixed, |at| {
            at.number(LINK, route.link);
            at.put(GATEWAY, &octets(route.gateway));
        });
    }
}

fn kind_data(kind: &LinkKind<'_>, at: &mut Attributes<'_>) {
    match kind {
        LinkKind::Bridge | LinkKind::Dummy => {}
        LinkKind::Veth(peer) => at.nest(1, |at| {
            at.raw(&header(0, 0, 0));
            peer.fill(at);
        }),
        LinkKind::Macvlan(mode) => at.number(1, *mode),
        LinkKind::Ipvlan(mode, flags) => {
            at.put(1, &mode.to_ne_bytes());
            at.put(2, &flags.to_ne_bytes());
        }
        LinkKind::Vlan(tag) => at.put(1, &tag.to_ne_bytes()),
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { IPV4 } else { IPV6 }
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// A link that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LinkInfo {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Mac>,
    /// The kernel's word for its kind; empty for what is no virtual link.
    pub(crate) kind: String,
}

/// Questions about what is there.
pub(crate) trait Links {
    /// The link of this name.
    fn link(&mut self, name: &str) -> Result<Option<LinkInfo>, NetlinkError>;
    /// All links.
    fn links(&mut self) -> Result<Vec<LinkInfo>, NetlinkError>;
    /// Every network that is routed from here or has an address here.
    fn routed(&mut self) -> Result<Vec<Subnet>, NetlinkError>;
    /// The addresses of a link, each with the length of its network's part.
    fn addresses(&mut self, link: u32) -> Result<Vec<(IpAddr, u8)>, NetlinkError>;
}

impl Links for Connection {
    fn link(&mut self, name: &str) -> Result<Option<LinkInfo>, NetlinkError> {
        let mut requests = Requests::default();
        let doing = format!("look for the link {name}");
        requests.add(doing, GET_LINK, ACK, &header(0, 0, 0), |at| at.text(LINK_NAME, name));
        let mut found = None;
        match self.list(requests, |reply| found = link_info(reply.body)) {
            Err(error) if error.is(rustix::io::Errno::NODEV) => Ok(None),
            other => other.map(|()| found),
        }
    }

    fn links(&mut self) -> Result<Vec<LinkInfo>, NetlinkError> {
        let mut requests = Requests::default();
        requests.add("list the links", GET_LINK, DUMP, &header(0, 0, 0), |_| {});
        let mut found = Vec::new();
        self.list(requests, |reply| found.extend(link_info(reply.body)))?;
        Ok(found)
    }

    fn routed(&mut self) -> Result<Vec<Subnet>, NetlinkError> {
        let mut found = Vec::new();
        let mut requests = Requests::default();
        requests.add("list the addresses", GET_ADDRESS, DUMP, &[0; 8], |_| {});
        self.list(requests, |reply| found.extend(subnet_of(reply.body, 8)))?;
        let mut requests = Requests::default();
        requests.add("list the routes", GET_ROUTE, DUMP, &[0; 12], |_| {});
        self.list(requests, |reply| found.extend(subnet_of(reply.body, 12)))?;
        Ok(found)
    }

    fn addresses(&mut self, link: u32) -> Result<Vec<(IpAddr, u8)>, NetlinkError> {
        let mut found = Vec::new();
        let mut requests = Requests::default();
        requests.add("list the addresses", GET_ADDRESS, DUMP, &[0; 8], |_| {});
        self.list(requests, |reply| found.extend(address_at(reply.body, link)))?;
        Ok(found)
    }
}

/// The address that a message tells of, if it is this link's.
fn address_at(body: &[u8], link: u32) -> Option<(IpAddr, u8)> {
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let (_, bytes) = attributes(body.get(8..)?).find(|(kind, _)| *kind == 1)?;
    Some((address_of(bytes)?, body[1])).filter(|_| index == link)
}

fn link_info(body: &[u8]) -> Option<LinkInfo> {
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let mut info = LinkInfo { index, name: String::new(), mtu: 0, mac: None, kind: String::new() };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            LINK_NAME => info.name = text(value),
            LINK_MTU => info.mtu = value.try_into().map_or(0, u32::from_ne_bytes),
            LINK_MAC => info.mac = value.try_into().ok().map(Mac),
            LINK_INFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == INFO_KIND);
                info.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(info)
}

/// The network of an address or a route; both have its length second and its address as attribute
/// one. A default route, which leads to no network in particular, is none.
fn subnet_of(body: &[u8], fixed: usize) -> Option<Subnet> {
    let prefix = *body.get(1)?;
    let (_, bytes) = attributes(body.get(fixed..)?).find(|(kind, _)| *kind == 1)?;
    (prefix > 0).then_some(Subnet::of(address_of(bytes)?, prefix))
}
