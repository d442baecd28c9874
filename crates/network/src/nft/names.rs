//! Questions to port 53 of a container's name server, which itself listens at ports that nobody
//! would ask for: so a container's own name server can listen at port 53 of all its addresses.
//!
//! Two chains of the container's namespace write ports anew, one on the way to the server and one on
//! the way back, and connection tracking is not needed for that: where it is used, requests are
//! changed before it sees them and answers after.

use std::net::Ipv4Addr;

use rustix::io::Errno;
use spec::Protocol;

use super::expression::{Base, Meta, Register, Steps};
use super::{
    ACCEPT, ALONE, APPEND, CREATE, DELETE_TABLE, IPV4, Line, NEW_CHAIN, NEW_RULE, NEW_TABLE,
    Transaction,
};
use crate::netlink::NetlinkError;

/// Our table in a container's namespace.
const TABLE: &str = "mica";
/// Where the addresses are in a header of IPv4.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
/// Where the ports are in a header of UDP or TCP.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;

/// A port that is asked for at an address, and the one that the server listens at.
pub(crate) struct Moved {
    pub(crate) protocol: Protocol,
    pub(crate) asked: u16,
    pub(crate) own: u16,
}

/// Has what is sent to an address of this thread's namespace arrive at other ports.
pub(crate) fn move_ports(address: Ipv4Addr, ports: &[Moved]) -> Result<(), NetlinkError> {
    match add(Transaction::new(), address, ports) {
        // Of a server that was here before. To remove what is not there would take milliseconds.
        Err(error) if error.is(Errno::EXIST) => {
            let mut transaction = Transaction::new();
            let name = "remove a container's table";
            transaction.add(name, DELETE_TABLE, 0, IPV4, |at| at.text(1, TABLE));
            add(transaction, address, ports)
        }
        other => other,
    }
}

fn add(
    mut transaction: Transaction,
    address: Ipv4Addr,
    ports: &[Moved],
) -> Result<(), NetlinkError> {
    let name = "make a container's table";
    transaction.add(name, NEW_TABLE, CREATE | ALONE, IPV4, |at| at.text(1, TABLE));
    // The numbers of hooks are the kernel's: input is 1, output is 3.
    for (name, hook, priority) in [("requests", 3u32, -300i32), ("answers", 1, 0)] {
        transaction.add(format!("make the chain {name}"), NEW_CHAIN, CREATE, IPV4, |at| {
            at.text(1, TABLE);
            at.text(3, name);
            at.nest(4, |at| {
                at.big(1, hook);
                at.put(2, &priority.to_be_bytes());
            });
            at.big(5, ACCEPT);
            at.text(7, "filter");
        });
    }
    for Moved { protocol, asked, own } in ports {
        let to = (DESTINATION, DESTINATION_PORT, *asked, *own);
        let from = (SOURCE, SOURCE_PORT, *own, *asked);
        for (chain, way) in [("requests", to), ("answers", from)] {
            let name = format!("make a rule of the chain {chain}");
            transaction.add(name, NEW_RULE, CREATE | APPEND, IPV4, |at| {
                at.text(1, TABLE);
                at.text(2, chain);
                at.nest(4, |at| rewrite(&mut Steps(at), *protocol, address, way));
            });
        }
    }
    transaction.commit(&Line::default())
}

fn rewrite(
    steps: &mut Steps<'_, '_>,
    protocol: Protocol,
    address: Ipv4Addr,
    (address_at, port_at, before, after): (u32, u32, u16, u16),
) {
    let checksum_at = if protocol == Protocol::Udp { 6 } else { 16 };
    let register = Register::word(0);
    steps
        .meta(Meta::Protocol, register)
        .equals(register, &[protocol.number()])
        .payload(Base::Network, address_at, 4, register)
        .equals(register, &address.octets())
        .payload(Base::Transport, port_at, 2, register)
        .equals(register, &before.to_be_bytes())
        .load(register, &after.to_be_bytes())
        .write(Base::Transport, port_at, 2, register, checksum_at);
}
