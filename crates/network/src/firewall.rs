//! What networks ask of the packet filter, whichever it is.

use crate::endpoint::Notice;
use crate::error::Result;
use crate::nft::Rules;

/// Which packet filter is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FirewallKind {
    /// nf_tables where the kernel has it, iptables where not.
    #[default]
    Auto,
    /// nf_tables, spoken to directly.
    NfTables,
    /// The programs of iptables.
    IpTables,
}

/// A packet filter of the host.
pub(crate) trait Firewall {
    /// Adds bridges and ports; what is there already stays. False if our rules are not there, or
    /// contradict: then they have to be built anew.
    fn add(&self, rules: &Rules) -> Result<bool>;
    /// Takes bridges and ports away; what is not there is no error.
    fn remove(&self, rules: &Rules) -> Result<()>;
    /// Puts all our rules in place at once, whatever was there of ours.
    fn rebuild(&self, rules: &Rules) -> Result<()>;
    /// Lets a new bridge through what others drop. Returns what was changed.
    fn open(&self, bridge: &str) -> Result<Vec<Notice>>;
    /// Takes all our rules away.
    fn clear(&self) -> Result<()>;
}
