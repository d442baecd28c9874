//! nf_tables, spoken to directly: a transaction is one datagram, and all of it happens or nothing.

mod expression;
mod foreign;
mod names;
mod rules;
mod sets;

use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::netlink::{Connection, NetlinkError, Requests};

pub(crate) use foreign::{barriers, lower};
pub(crate) use names::{Moved, move_ports};
pub(crate) use rules::Nft;
pub(crate) use sets::{Port, Rules, Switch};

/// The kernel's number for this part of netfilter, in the upper byte of a message's kind.
const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

const NEW_TABLE: u16 = SUBSYSTEM;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
const DELETE_RULE: u16 = SUBSYSTEM | 8;
const NEW_SET: u16 = SUBSYSTEM | 9;
const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM | 14;

const ACK: u16 = 4;
const DUMP: u16 = 0x300;
/// What is there already is an error.
const ALONE: u16 = 0x200;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// What a chain decides about what none of its rules decides on.
const ACCEPT: u32 = 1;

/// Tables for IPv4 and IPv6 at once.
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Whether the kernel has nf_tables. A refusal for lack of privilege is no lack of nf_tables.
pub(crate) fn is_here() -> bool {
    const GET_GENERATION: u16 = SUBSYSTEM | 16;
    let mut requests = Requests::default();
    requests.add("look for nf_tables", GET_GENERATION, ACK, &[0; 4], |_| {});
    let answer = Connection::netfilter().and_then(|mut it| it.list(requests, |_| {}));
    !answer.is_err_and(|error| {
        [Errno::INVAL, Errno::OPNOTSUPP, Errno::PROTONOSUPPORT].into_iter().any(|it| error.is(it))
    })
}

/// A connection that is kept. To close one waits until nobody can see what was removed last, which
/// takes milliseconds; so that happens once, at the end, and not while others wait for our lock.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<Mutex<Option<Connection>>>);

/// Changes that happen together.
struct Transaction {
    requests: Requests,
}

impl Transaction {
    fn new() -> Transaction {
        let mut requests = Requests::default();
        requests.add("begin a transaction", BATCH_BEGIN, 0, &[0, 0, 0, 10], |_| {});
        Transaction { requests }
    }

    fn add(
        &mut self,
        name: impl Into<String>,
        kind: u16,
        flags: u16,
        family: u8,
        fill: impl FnOnce(&mut crate::netlink::Attributes<'_>),
    ) {
        self.requests.add(name, kind, flags | ACK, &[family, 0, 0, 0], fill);
    }

    fn is_empty(&self) -> bool {
        self.requests.count() == 1
    }

    fn commit(mut self, line: &Line) -> Result<(), NetlinkError> {
        let last = self.requests.count() - 1;
        self.requests.add("end the transaction", BATCH_END, 0, &[0, 0, 0, 10], |_| {});
        let mut line = line.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match &mut *line {
            Some(connection) => connection,
            none => none.insert(Connection::netfilter()?),
        };
        connection.commit(self.requests, last)
    }
}
