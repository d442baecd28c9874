//! What networks ask of the packet filter, whichever it is.

use crate::netlink::NetlinkError;
use crate::nft::Rules;

/// A packet filter of the host.
pub(crate) trait Firewall {
    /// Adds bridges and ports; what is there already stays. False if our rules are not there, or
    /// contradict: then they have to be built anew.
    fn add(&self, rules: &Rules) -> Result<bool, NetlinkError>;
    /// Takes bridges and ports away; what is not there is no error.
    fn remove(&self, rules: &Rules) -> Result<(), NetlinkError>;
    /// Puts all our rules in place at once, whatever was there of ours.
    fn rebuild(&self, rules: &Rules) -> Result<(), NetlinkError>;
    /// Takes all our rules away.
    fn clear(&self) -> Result<(), NetlinkError>;
}
