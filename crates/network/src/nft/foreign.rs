//! Other people's firewalls. A chain that drops what is forwarded by default (docker's and ufw's
//! do) drops our containers' packets too, whatever our own table says: then two rules of ours for
//! each bridge go to its end, where only that default would come. What the chain's own rules decide
//! stays decided. Ours carry our name and are all that we ever change or remove there.

use super::expression::{Meta, Register, Steps, Verdict};
use super::{
    ACK, APPEND, CREATE, DELETE_RULE, DUMP, GET_CHAIN, GET_RULE, INET, IPV4, IPV6, Line, NEW_RULE,
    Transaction,
};
use crate::netlink::{Connection, NetlinkError, Requests, attributes, text};

/// A chain that drops what nobody allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Barrier {
    family: u8,
    table: String,
    chain: String,
}

impl std::fmt::Display for Barrier {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            INET => "inet",
            IPV4 => "ip",
            _ => "ip6",
        };
        write!(to, "{family} {} {}", self.table, self.chain)
    }
}

/// The chains that would drop what a bridge forwards.
pub(crate) fn barriers() -> Result<Vec<Barrier>, NetlinkError> {
    const FORWARD: u32 = 2;
    const DROP: u32 = 0;
    let mut dropping = Vec::new();
    let mut requests = Requests::default();
    requests.add("list the packet filter's chains", GET_CHAIN, DUMP, &[0; 4], |_| {});
    Connection::netfilter()?.list(requests, |reply| {
        let family = reply.body.first().copied().unwrap_or(0);
        let mut barrier = Barrier { family, table: String::new(), chain: String::new() };
        let (mut hook, mut policy) = (None, None);
        for (kind, value) in attributes(reply.body.get(4..).unwrap_or_default()) {
            match kind {
                1 => barrier.table = text(value),
                3 => barrier.chain = text(value),
                4 => hook = attributes(value).find(|(kind, _)| *kind == 1).map(|(_, it)| big(it)),
                5 => policy = Some(big(value)),
                _ => {}
            }
        }
        let routed = [INET, IPV4, IPV6].contains(&family);
        if routed && hook == Some(FORWARD) && policy == Some(DROP) {
            dropping.push(barrier);
        }
    })?;
    Ok(dropping)
}

/// Lets a bridge's packets pass, unless that was done before, and says whether it was not.
pub(crate) fn raise(barrier: &Barrier, bridge: &str) -> Result<bool, NetlinkError> {
    if !ours(barrier, bridge)?.is_empty() {
        return Ok(false);
    }
    let mut transaction = Transaction::new();
    for link in [Meta::OutLink, Meta::InLink] {
        let name = format!("allow {bridge} in the chain {barrier}");
        transaction.add(name, NEW_RULE, CREATE | APPEND, barrier.family, |at| {
            at.text(1, &barrier.table);
            at.text(2, &barrier.chain);
            at.nest(4, |at| {
                let mut wanted = bridge.as_bytes().to_vec();
                wanted.resize(16, 0);
                Steps(at)
                    .meta(link, Register::word(0))
                    .equals(Register::word(0), &wanted)
                    .decide(Verdict::Accept);
            });
            at.put(7, &mark(bridge));
        });
    }
    transaction.commit(&Line::default()).map(|()| true)
}

/// Takes the rules for a bridge away again.
pub(crate) fn lower(barrier: &Barrier, bridge: &str) -> Result<(), NetlinkError> {
    let mut transaction = Transaction::new();
    for handle in ours(barrier, bridge)? {
        let name = format!("remove the rules for {bridge} from the chain {barrier}");
        transaction.add(name, DELETE_RULE, 0, barrier.family, |at| {
            at.text(1, &barrier.table);
            at.text(2, &barrier.chain);
            at.put(3, &handle);
        });
    }
    if transaction.is_empty() { Ok(()) } else { transaction.commit(&Line::default()) }
}

/// A comment, as `nft` shows it.
fn mark(bridge: &str) -> Vec<u8> {
    let comment = format!("mica {bridge}\0");
    let length = u8::try_from(comment.len()).expect("a link's name is short");
    [&[0, length], comment.as_bytes()].concat()
}

/// The handles of the rules with our comment.
fn ours(barrier: &Barrier, bridge: &str) -> Result<Vec<Vec<u8>>, NetlinkError> {
    let mut requests = Requests::default();
    let doing = format!("list the rules of the chain {barrier}");
    requests.add(doing, GET_RULE, DUMP | ACK, &[barrier.family, 0, 0, 0], |at| {
        at.text(1, &barrier.table);
        at.text(2, &barrier.chain);
    });
    let (wanted, mut found) = (mark(bridge), Vec::new());
    Connection::netfilter()?.list(requests, |reply| {
        let (mut chain, mut handle, mut marked) = (String::new(), Vec::new(), false);
        for (kind, value) in attributes(reply.body.get(4..).unwrap_or_default()) {
            match kind {
                2 => chain = text(value),
                3 => handle = value.to_vec(),
                7 => marked = value == wanted,
                _ => {}
            }
        }
        if marked && chain == barrier.chain {
            found.push(handle);
        }
    })?;
    Ok(found)
}

fn big(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_be_bytes)
}
