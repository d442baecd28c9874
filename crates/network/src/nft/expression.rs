//! The steps of a rule: each loads something into a register, compares one, or decides.

use crate::netlink::Attributes;

/// Four bytes of a rule's memory each; longer values take several in a row.
#[derive(Clone, Copy)]
pub(super) struct Register(u32);

impl Register {
    /// The place of four bytes with this number.
    pub(super) const fn word(number: u32) -> Register {
        Register(8 + number)
    }
}

/// What is known of a packet besides its bytes.
#[derive(Clone, Copy)]
pub(super) enum Meta {
    /// The name of the link it came in by.
    InLink = 6,
    /// The name of the link it will leave by.
    OutLink = 7,
    /// IPv4 or IPv6.
    Family = 15,
    /// TCP, UDP, …
    Protocol = 16,
}

/// Where bytes of a packet are counted from.
#[derive(Clone, Copy)]
pub(super) enum Base {
    /// The IP header.
    Network = 1,
    /// The header after that.
    Transport = 2,
}

/// What is known of a packet's connection.
#[derive(Clone, Copy)]
pub(super) enum Tracked {
    /// New, established, …: bits.
    State = 0,
    /// What was done to it: bits.
    Status = 2,
}

/// What becomes of a packet.
#[derive(Clone, Copy)]
pub(super) enum Verdict<'a> {
    Drop,
    Accept,
    Return,
    Jump(&'a str),
}

/// The steps of one rule, in order.
pub(super) struct Steps<'a, 'b>(pub(super) &'a mut Attributes<'b>);

const ELEMENT: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;

impl Steps<'_, '_> {
    fn step(&mut self, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.0.nest(ELEMENT, |at| {
            at.text(NAME, name);
            at.nest(DATA, fill);
        });
        self
    }

    /// Loads a fact about the packet.
    pub(super) fn meta(&mut self, what: Meta, to: Register) -> &mut Self {
        self.step("meta", |at| {
            at.big(1, to.0);
            at.big(2, what as u32);
        })
    }

    /// Loads bytes of the packet.
    pub(super) fn payload(
        &mut self,
        base: Base,
        offset: u32,
        bytes: u32,
        to: Register,
    ) -> &mut Self {
        self.step("payload", |at| {
            at.big(1, to.0);
            at.big(2, base as u32);
            at.big(3, offset);
            at.big(4, bytes);
        })
    }

    /// Loads these bytes.
    pub(super) fn load(&mut self, to: Register, value: &[u8]) -> &mut Self {
        self.step("immediate", |at| {
            at.big(1, to.0);
            at.nest(2, |at| at.put(1, value));
        })
    }

    /// Writes bytes into the packet, and the header's checksum anew.
    pub(super) fn write(
        &mut self,
        base: Base,
        offset: u32,
        bytes: u32,
        from: Register,
        checksum_at: u32,
    ) -> &mut Self {
        const INTERNET_CHECKSUM: u32 = 1;
        self.step("payload", |at| {
            at.big(2, base as u32);
            at.big(3, offset);
            at.big(4, bytes);
            at.big(5, from.0);
            at.big(6, INTERNET_CHECKSUM);
            at.big(7, checksum_at);
        })
    }

    /// Goes on only if a register holds this.
    pub(super) fn equals(&mut self, register: Register, value: &[u8]) -> &mut Self {
        self.compare(register, 0, value)
    }

    fn compare(&mut self, register: Register, operation: u32, value: &[u8]) -> &mut Self {
        self.step("cmp", |at| {
            at.big(1, register.0);
            at.big(2, operation);
            at.nest(3, |at| at.put(1, value));
        })
    }

    /// Goes on only if the packet's connection has one of these bits.
    pub(super) fn tracked(&mut self, what: Tracked, bits: u32) -> &mut Self {
        let register = Register::word(0);
        self.step("ct", |at| {
            at.big(1, register.0);
            at.big(2, what as u32);
        });
        self.step("bitwise", |at| {
            at.big(1, register.0);
            at.big(2, register.0);
            at.big(3, 4);
            at.nest(4, |at| at.put(1, &bits.to_ne_bytes()));
            at.nest(5, |at| at.put(1, &[0; 4]));
        });
        self.compare(register, 1, &[0; 4])
    }

    /// Goes on only if the packet is for an address of this host.
    pub(super) fn for_this_host(&mut self) -> &mut Self {
        const LOCAL: u32 = 2;
        self.step("fib", |at| {
            at.big(1, Register::word(0).0);
            at.big(2, 3);
            at.big(3, 2);
        });
        self.equals(Register::word(0), &LOCAL.to_ne_bytes())
    }

    /// Goes on only if the set has the key that begins in a register, or only if it has not.
    pub(super) fn is_in(&mut self, set: &str, register: Register, wanted: bool) -> &mut Self {
        self.step("lookup", |at| {
            at.text(1, set);
            at.big(2, register.0);
            if !wanted {
                at.big(5, 1);
            }
        })
    }

    /// Goes on only if the map has the key, and loads what it stands for.
    pub(super) fn look_up(&mut self, map: &str, key: Register, to: Register) -> &mut Self {
        self.step("lookup", |at| {
            at.text(1, map);
            at.big(2, key.0);
            at.big(3, to.0);
        })
    }

    /// Sends the packet's connection elsewhere: an address of this family, and a port.
    pub(super) fn redirect(&mut self, family: u8, address: Register, port: Register) -> &mut Self {
        const DESTINATION: u32 = 1;
        self.step("nat", |at| {
            at.big(1, DESTINATION);
            at.big(2, family.into());
            at.big(3, address.0);
            at.big(5, port.0);
        })
    }

    /// Gives the packet's connection this host's address.
    pub(super) fn masquerade(&mut self) -> &mut Self {
        self.step("masq", |_| {})
    }

    /// Decides.
    pub(super) fn decide(&mut self, verdict: Verdict<'_>) -> &mut Self {
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3_i32, Some(chain)),
            Verdict::Return => (-5, None),
        };
        self.step("immediate", |at| {
            at.big(1, 0);
            at.nest(2, |at| {
                at.nest(2, |at| {
                    at.put(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        at.text(2, chain);
                    }
                });
            });
        })
    }
}
