//! The table of ours: a fixed handful of rules over sets. A network is an element of some sets and
//! a published port an element of a map, so that nothing gets slower with their number.
//!
//! ```text
//! prerouting, raw    drop what a container sends to the host's 127.0.0.0/8
//! prerouting, nat    to this host: look the port up in the maps, send it to its container
//! output, nat        the same for the host's own packets, 127.0.0.1 included
//! forward            within a network, out of one that is not internal, and to published ports:
//!                    yes; into a network otherwise, and out of an internal one: no
//! postrouting, nat   out of a network, back into the same one, and from the host's loopback:
//!                    under the host's address
//! ```

use std::net::Ipv6Addr;

use rustix::io::Errno;

use super::expression::{Base, Meta, Register, Steps, Tracked, Verdict};
use super::foreign::{barriers, raise};
use super::sets::elements;
use super::{
    ACCEPT, APPEND, CREATE, DELETE_ELEMENT, DELETE_TABLE, INET, IPV4, IPV6, Line, NEW_CHAIN,
    NEW_ELEMENT, NEW_RULE, NEW_TABLE, Rules, Transaction,
};
use crate::endpoint::Notice;
use crate::error::Result;
use crate::firewall::Firewall;
use crate::netlink::{Attributes, NetlinkError};

/// The table of this name.
pub(crate) struct Nft {
    pub(crate) table: String,
    pub(crate) line: Line,
}

impl Firewall for Nft {
    fn add(&self, rules: &Rules) -> Result<bool> {
        let mut transaction = Transaction::new();
        self.elements(&mut transaction, NEW_ELEMENT, CREATE, rules);
        match transaction.is_empty() {
            true => Ok(true),
            false => match transaction.commit(&self.line) {
                // A port that leads elsewhere was left by a crash.
                Err(error) if error.is(Errno::BUSY) || error.is(Errno::EXIST) => Ok(false),
                other => Ok(or_gone(other)?),
            },
        }
    }

    fn remove(&self, rules: &Rules) -> Result<()> {
        // One element that is missing would undo the removal of the others, so after such a
        // failure each goes by itself.
        let mut transaction = Transaction::new();
        self.elements(&mut transaction, DELETE_ELEMENT, 0, rules);
        if transaction.is_empty() || or_gone(transaction.commit(&self.line))? {
            return Ok(());
        }
        for (set, key, data) in elements(rules) {
            let mut transaction = Transaction::new();
            self.one_set(&mut transaction, DELETE_ELEMENT, 0, set, &[(key, data)]);
            or_gone(transaction.commit(&self.line))?;
        }
        Ok(())
    }

    fn rebuild(&self, rules: &Rules) -> Result<()> {
        let mut transaction = Transaction::new();
        // A table has to be there to be removed.
        self.table(&mut transaction, NEW_TABLE);
        self.table(&mut transaction, DELETE_TABLE);
        self.table(&mut transaction, NEW_TABLE);
        self.sets(&mut transaction);
        self.chains(&mut transaction);
        self.elements(&mut transaction, NEW_ELEMENT, CREATE, rules);
        Ok(transaction.commit(&self.line)?)
    }

    fn open(&self, bridge: &str) -> Result<Vec<Notice>> {
        let mut notices = Vec::new();
        for barrier in barriers()? {
            if raise(&barrier, bridge)? {
                let chain = barrier.to_string();
                notices.push(Notice::Allowed { bridge: bridge.to_owned(), chain });
            }
        }
        Ok(notices)
    }

    fn clear(&self) -> Result<()> {
        let mut transaction = Transaction::new();
        self.table(&mut transaction, NEW_TABLE);
        self.table(&mut transaction, DELETE_TABLE);
        Ok(transaction.commit(&self.line)?)
    }
}

/// False if a table, set or element was not there.
fn or_gone(result: Result<(), NetlinkError>) -> Result<bool, NetlinkError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Nft {
    fn table(&self, transaction: &mut Transaction, kind: u16) {
        let flags = if kind == NEW_TABLE { CREATE } else { 0 };
        let name = format!("change the packet filter's table {}", self.table);
        transaction.add(name, kind, flags, INET, |at| at.text(1, &self.table));
    }

    fn chains(&self, transaction: &mut Transaction) {
        // (name, type, hook, priority); the numbers of hooks are the kernel's.
        self.base_chain(transaction, ("loopback", "filter", 0, -300));
        self.base_chain(transaction, ("prerouting", "nat", 0, -100));
        self.base_chain(transaction, ("output", "nat", 3, -100));
        self.base_chain(transaction, ("forward", "filter", 2, 0));
        self.base_chain(transaction, ("postrouting", "nat", 4, 100));
        let chain = |at: &mut Attributes<'_>, name: &str| {
            at.text(1, &self.table);
            at.text(3, name);
        };
        // No name is a word of nft's language, or nobody could load what `nft list` prints.
        for name in ["published", "inward"] {
            transaction.add(format!("make the chain {name}"), NEW_CHAIN, CREATE, INET, |at| {
                chain(at, name);
            });
        }
        self.loopback_rules(transaction);
        self.redirect_rules(transaction);
        self.forward_rules(transaction);
        self.postrouting_rules(transaction);
    }

    fn base_chain(&self, transaction: &mut Transaction, chain: (&str, &str, u32, i32)) {
        let (name, kind, hook, priority) = chain;
        transaction.add(format!("make the chain {name}"), NEW_CHAIN, CREATE, INET, |at| {
            at.text(1, &self.table);
            at.text(3, name);
            at.nest(4, |at| {
                at.big(1, hook);
                at.put(2, &priority.to_be_bytes());
            });
            at.big(5, ACCEPT);
            at.text(7, kind);
        });
    }

    fn rule(
        &self,
        transaction: &mut Transaction,
        chain: &str,
        steps: impl FnOnce(&mut Steps<'_, '_>),
    ) {
        let name = format!("make a rule of the chain {chain}");
        transaction.add(name, NEW_RULE, CREATE | APPEND, INET, |at| {
            at.text(1, &self.table);
            at.text(2, chain);
            at.nest(4, |at| steps(&mut Steps(at)));
        });
    }

    /// Bridges route 127.0.0.0/8, or else the host could not reach published ports there. That
    /// must not open the host's own services there to containers, nor to who pretends to be local.
    fn loopback_rules(&self, transaction: &mut Transaction) {
        for offset in [SOURCE4, DESTINATION4] {
            self.rule(transaction, "loopback", |steps| {
                from_bridge(steps);
                loopback_at(steps, offset).decide(Verdict::Drop);
            });
        }
    }

    fn redirect_rules(&self, transaction: &mut Transaction) {
        // What comes over a cable for 127.0.0.1 is no business of whoever published a port there.
        self.rule(transaction, "prerouting", |steps| {
            loopback_at(steps, DESTINATION4).decide(Verdict::Return);
        });
        // The kernel delivers nothing from ::1 to another link. An answer that nobody listens there
        // comes at once, and clients go on to 127.0.0.1.
        self.rule(transaction, "output", |steps| {
            own_ipv6_at(steps, DESTINATION6).decide(Verdict::Return);
        });
        for chain in ["prerouting", "output"] {
            self.rule(transaction, chain, |steps| {
                steps.for_this_host().decide(Verdict::Jump("published"));
            });
        }
        for (family, address, bytes, map) in
            [(IPV4, DESTINATION4, 4, "ports4"), (IPV6, DESTINATION6, 16, "ports6")]
        {
            let target = Register::word(8);
            let target_port = Register::word(8 + bytes / 4);
            self.rule(transaction, "published", |steps| {
                let words = bytes / 4;
                of_family(steps, family)
                    .payload(Base::Network, address, bytes, Register::word(0))
                    .meta(Meta::Protocol, Register::word(words))
                    .payload(Base::Transport, 2, 2, Register::word(words + 1))
                    .look_up(&format!("{map}_at"), Register::word(0), target)
                    .redirect(family, target, target_port);
            });
            self.rule(transaction, "published", |steps| {
                of_family(steps, family)
                    .meta(Meta::Protocol, Register::word(0))
                    .payload(Base::Transport, 2, 2, Register::word(1))
                    .look_up(map, Register::word(0), target)
                    .redirect(family, target, target_port);
            });
        }
    }

    fn forward_rules(&self, transaction: &mut Transaction) {
        const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
        const REDIRECTED: u32 = 1 << 5;
        self.rule(transaction, "forward", |steps| {
            steps.tracked(Tracked::State, ESTABLISHED_OR_RELATED).decide(Verdict::Accept);
        });
        self.rule(transaction, "forward", |steps| {
            both_links(steps).is_in("talking", PAIR, true).decide(Verdict::Accept);
        });
        self.rule(transaction, "forward", |steps| {
            to_bridge(steps).decide(Verdict::Jump("inward"));
        });
        self.rule(transaction, "forward", |steps| {
            from_bridge(steps).is_in("outward", PAIR, false).decide(Verdict::Drop);
        });
        // Where containers of one network may not talk, a published port is no way around.
        self.rule(transaction, "inward", |steps| {
            both_links(steps).is_in("within", PAIR, true).decide(Verdict::Drop);
        });
        self.rule(transaction, "inward", |steps| {
            steps.meta(Meta::InLink, PAIR).is_in("bridges", PAIR, true);
            steps.is_in("outward", PAIR, false).decide(Verdict::Drop);
        });
        self.rule(transaction, "inward", |steps| {
            steps.tracked(Tracked::Status, REDIRECTED).decide(Verdict::Accept);
        });
        self.rule(transaction, "inward", |steps| {
            steps.decide(Verdict::Drop);
        });
    }

    fn postrouting_rules(&self, transaction: &mut Transaction) {
        const REDIRECTED: u32 = 1 << 5;
        // A container that meets another one at the host's address has to get its answers from
        // there too.
        self.rule(transaction, "postrouting", |steps| {
            steps.tracked(Tracked::Status, REDIRECTED);
            both_links(steps).is_in("within", PAIR, true).masquerade();
        });
        self.rule(transaction, "postrouting", |steps| {
            both_links(steps).is_in("within", PAIR, true).decide(Verdict::Return);
        });
        // The same for one that meets itself. Its packet may never have left the bridge, which
        // then does not say by which link it came.
        for (family, source, bytes, set) in
            [(IPV4, SOURCE4, 4, "selves4"), (IPV6, SOURCE6, 16, "selves6")]
        {
            self.rule(transaction, "postrouting", |steps| {
                of_family(steps, family)
                    .payload(Base::Network, source, bytes, PAIR)
                    .payload(Base::Network, source + bytes, bytes, Register::word(bytes / 4))
                    .is_in(set, PAIR, true)
                    .masquerade();
            });
        }
        self.rule(transaction, "postrouting", |steps| {
            steps.meta(Meta::InLink, PAIR).is_in("hidden", PAIR, true).masquerade();
        });
        self.rule(transaction, "postrouting", |steps| {
            loopback_at(to_bridge(steps), SOURCE4).masquerade();
        });
    }
}

const PAIR: Register = Register::word(0);
const SOURCE4: u32 = 12;
const DESTINATION4: u32 = 16;
const SOURCE6: u32 = 8;
const DESTINATION6: u32 = 24;

fn of_family<'s, 'a, 'b>(steps: &'s mut Steps<'a, 'b>, family: u8) -> &'s mut Steps<'a, 'b> {
    steps.meta(Meta::Family, PAIR).equals(PAIR, &[family])
}

fn from_bridge<'s, 'a, 'b>(steps: &'s mut Steps<'a, 'b>) -> &'s mut Steps<'a, 'b> {
    steps.meta(Meta::InLink, PAIR).is_in("bridges", PAIR, true)
}

fn to_bridge<'s, 'a, 'b>(steps: &'s mut Steps<'a, 'b>) -> &'s mut Steps<'a, 'b> {
    steps.meta(Meta::OutLink, PAIR).is_in("bridges", PAIR, true)
}

fn both_links<'s, 'a, 'b>(steps: &'s mut Steps<'a, 'b>) -> &'s mut Steps<'a, 'b> {
    steps.meta(Meta::InLink, PAIR).meta(Meta::OutLink, Register::word(4))
}

/// Goes on only if the address at this place of an IPv4 header is one of 127.0.0.0/8.
fn loopback_at<'s, 'a, 'b>(steps: &'s mut Steps<'a, 'b>, offset: u32) -> &'s mut Steps<'a, 'b> {
    of_family(steps, IPV4).payload(Base::Network, offset, 1, PAIR).equals(PAIR, &[127])
}

/// Goes on only if the address at this place of an IPv6 header is ::1.
fn own_ipv6_at<'s, 'a, 'b>(steps: &'s mut Steps<'a, 'b>, offset: u32) -> &'s mut Steps<'a, 'b> {
    of_family(steps, IPV6)
        .payload(Base::Network, offset, 16, PAIR)
        .equals(PAIR, &Ipv6Addr::LOCALHOST.octets())
}
