//! Addresses and their prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Answer, Arguments, MANY, Row};
use crate::bake::value::Value;

pub(super) const ROWS: &[Row] = &[
    ("cidrhost", 2..=2, |of| {
        let net = Net::parse(&of.text(0)?)?;
        let (number, room) = (i128::from(of.index(1)?), net.room());
        let offset = match number < 0 {
            true => u128::try_from(-number).ok().and_then(|back| room.checked_sub(back - 1)),
            false => u128::try_from(number).ok().filter(|offset| *offset <= room),
        };
        let offset = offset.ok_or_else(|| {
            format!("prefix of {} does not accommodate a host numbered {number}", net.bits)
        })?;
        Ok(Value::Text(net.address(net.first + offset)))
    }),
    ("cidrnetmask", 1..=1, |of| {
        let net = Net::parse(&of.text(0)?)?;
        match net.width {
            32 => Ok(Value::Text(net.address(u128::from(u32::MAX) & !net.room()))),
            _ => Err("IPv6 addresses cannot have a netmask".to_owned()),
        }
    }),
    ("cidrsubnet", 3..=3, |of| {
        let number = u128::try_from(of.index(2)?).map_err(|_| "netnum must not be negative")?;
        let net = Net::parse(&of.text(0)?)?.narrower(of.index(1)?)?;
        let first = net.room().checked_add(1).and_then(|size| size.checked_mul(number));
        let base = Net::parse(&of.text(0)?)?;
        let first = first.filter(|offset| *offset <= base.room());
        let first = first.ok_or_else(|| {
            format!("prefix extension does not accommodate a subnet numbered {number}")
        })?;
        Ok(Value::Text(Net { first: base.first + first, ..net }.text()))
    }),
    ("cidrsubnets", 1..=MANY, subnets),
];

fn subnets(of: &Arguments<'_>) -> Answer {
    let base = Net::parse(&of.text(0)?)?;
    let end = base.first + base.room();
    let (mut next, mut list) = (Some(base.first), Vec::new());
    for at in 1..of.list.len() {
        let net = base.narrower(of.index(at)?)?;
        // Each begins where its size allows, at or after the end of the one before.
        let first = next.and_then(|next| Some(next.checked_add(net.room())? & !net.room()));
        let first =
            first.filter(|first| first.checked_add(net.room()).is_some_and(|last| last <= end));
        let first = first.ok_or("not enough remaining address space for a subnet")?;
        list.push(Value::Text(Net { first, ..net }.text()));
        next = (first + net.room()).checked_add(1);
    }
    Ok(Value::List(list))
}

#[derive(Clone, Copy)]
struct Net {
    first: u128,
    bits: u32,
    /// 32 or 128.
    width: u32,
}

impl Net {
    fn parse(text: &str) -> Result<Net, String> {
        let wrong = || format!("invalid CIDR expression: {text}");
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (number, width) = match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
            IpAddr::V6(v6) => (u128::from(v6), 128),
        };
        let bits = bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(wrong)?;
        let net = Net { first: number, bits, width };
        Ok(Net { first: number & !net.room(), ..net })
    }

    /// The number of its last address, counted from its first.
    fn room(&self) -> u128 {
        match self.width - self.bits {
            0 => 0,
            free => u128::MAX >> (128 - free),
        }
    }

    fn narrower(&self, more: i64) -> Result<Net, String> {
        let bits = u32::try_from(more).ok().and_then(|more| self.bits.checked_add(more));
        let bits = bits.filter(|bits| *bits <= self.width);
        let bits =
            bits.ok_or_else(|| format!("insufficient address space to extend prefix by {more}"))?;
        Ok(Net { bits, ..*self })
    }

    fn address(&self, number: u128) -> String {
        match (self.width, u32::try_from(number)) {
            (32, Ok(number)) => Ipv4Addr::from(number).to_string(),
            _ => Ipv6Addr::from(number).to_string(),
        }
    }

    fn text(&self) -> String {
        format!("{}/{}", self.address(self.first), self.bits)
    }
}
