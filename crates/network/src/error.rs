//! What can go wrong with networks, and what the user can do about it.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::netlink::NetlinkError;

/// An error of networks.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum NetworkError {
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("cannot make or enter a network namespace")]
    Namespace(#[source] io::Error),
    #[error("cannot serve names to the container")]
    Names(#[source] io::Error),
    #[error("cannot carry connections to the container")]
    Relay(#[source] io::Error),
    #[error(transparent)]
    Kernel(#[from] NetlinkError),
    #[error("network {0} not found")]
    NotFound(String),
    #[error("network {name} is ambiguous ({matches} matches found based on ID prefix)")]
    Ambiguous { name: String, matches: usize },
    #[error("network with name {0} already exists")]
    Exists(String),
    #[error("operation is not permitted on predefined {0} network")]
    PredefinedName(String),
    #[error("{0} is a pre-defined network and cannot be removed")]
    Predefined(String),
    #[error("network {name} has active endpoints ({endpoints})")]
    Busy { name: String, endpoints: String },
    #[error("could not find plugin {0} in v1 plugin registry: plugin not found")]
    NoDriver(String),
    #[error("configuration network {0:?} not found")]
    NoConfiguration(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap,
    #[error("all predefined address pools have been fully subnetted")]
    NoPools,
    #[error("no available IPv{family} addresses on this network's address pools: {name} ({id})")]
    Full { family: u8, name: String, id: String },
    #[error("Address already in use")]
    AddressTaken(IpAddr),
    #[error("the container has an interface {0} already")]
    LinkTaken(String),
    #[error("endpoint with name {endpoint} already exists in network {network}")]
    Attached { endpoint: String, network: String },
    #[error("container {container} is not connected to network {network}")]
    NotAttached { container: String, network: String },
    #[error("Bind for {address}:{port} failed: port is already allocated")]
    PortTaken { address: String, port: u16 },
    #[error("failed to bind host port for {host}:{container}: address already in use")]
    PortInUse { host: String, container: String },
    #[error("failed to bind host port for {host}:{container}")]
    PortRefused { host: String, container: String, source: io::Error },
    #[error("no free port between {first} and {last} on {address}")]
    NoPort { address: String, first: u16, last: u16 },
    #[error("cannot run {program}")]
    Program { program: String, source: io::Error },
    #[error("{program} failed: {said}")]
    Failed { program: String, said: String },
    #[error("ports of SCTP cannot be published: this kernel does not follow its connections")]
    NoSctp,
    #[error("neither pasta nor slirp4netns is here to give an unprivileged container a network")]
    NoUserNetwork,
}

/// What kind of error it is, for exit codes and HTTP statuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// What was named is not there.
    NotFound,
    /// It is used, or there already.
    Conflict,
    /// It is there by nature and stays as it is.
    Forbidden,
    /// The request is wrong.
    InvalidInput,
    /// What is on disk is not what it should be.
    Corrupt,
    /// The machine cannot do it.
    Unsupported,
    /// Anything else.
    Other,
}

impl NetworkError {
    /// An error of input or output, with what was done and to what.
    pub(crate) fn io(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> NetworkError {
        let path = path.as_ref().to_owned();
        move |source| NetworkError::Io { doing, path, source }
    }

    /// What kind it is.
    pub fn kind(&self) -> ErrorKind {
        use NetworkError as E;
        match self {
            E::NotFound(_) | E::NotAttached { .. } | E::NoDriver(_) | E::NoConfiguration(_) => {
                ErrorKind::NotFound
            }
            E::Exists(_) | E::Busy { .. } | E::AddressTaken(_) | E::LinkTaken(_) => {
                ErrorKind::Conflict
            }
            E::PredefinedName(_)
            | E::Predefined(_)
            | E::Overlap
            | E::Attached { .. }
            | E::Forbidden(_) => ErrorKind::Forbidden,
            E::Ambiguous { .. } | E::Invalid(_) => ErrorKind::InvalidInput,
            E::Damaged { .. } => ErrorKind::Corrupt,
            E::Kernel(error) if missing(error) => ErrorKind::Unsupported,
            E::NoUserNetwork | E::NoSctp => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        }
    }

    /// What the user can do, where we know it.
    pub fn hint(&self) -> Option<String> {
        use NetworkError as E;
        let hint = match self {
            E::Kernel(error) => return kernel_hint(error),
            E::Namespace(error) if denied(error) => NO_PRIVILEGE,
            E::Io { source, .. } => return file_hint(source).map(str::to_owned),
            E::NoPools => {
                "name a --subnet, or remove networks that nobody uses with `mica network prune`"
            }
            E::Overlap => "`mica network ls` and `ip route` show which subnets are taken",
            E::NoConfiguration(_) => "make one with `mica network create --config-only`",
            E::Busy { .. } => "disconnect its containers first: `mica network disconnect`",
            E::PortTaken { .. } => {
                "`mica ps` shows which container has it; or publish another port"
            }
            E::PortInUse { .. } => {
                "`ss -lntup` shows which program has it; or publish another port"
            }
            E::PortRefused { source, .. } if denied(source) => "ports below 1024 need root",
            E::PortRefused { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                "the host has no such address: `ip address` shows which it has"
            }
            E::Program { .. } => "is it installed, and may you run it?",
            E::NoSctp => "a kernel with CONFIG_NF_CT_PROTO_SCTP does: `modprobe nf_conntrack`",
            E::NoUserNetwork => {
                "install the package `passt` or `slirp4netns`, or use --network none"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

const NO_PRIVILEGE: &str = "networks need root; without it, --network none and --network host work, and pasta if installed";

fn denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// What helps where a file of ours could not be read or written.
fn file_hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Some("run as root, or name a --data-root that you may write")
        }
        io::ErrorKind::ReadOnlyFilesystem => Some("name a writable --data-root"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free space with `mica system prune`, or use another --data-root")
        }
        _ => None,
    }
}

/// Whether the kernel does not know what it was asked for.
fn missing(error: &NetlinkError) -> bool {
    let numbers =
        [Errno::OPNOTSUPP, Errno::PROTONOSUPPORT, Errno::AFNOSUPPORT, Errno::NOSYS, Errno::NOTSUP];
    numbers.into_iter().any(|number| error.is(number))
}

fn kernel_hint(error: &NetlinkError) -> Option<String> {
    if error.is(Errno::PERM) || error.is(Errno::ACCESS) {
        return Some(NO_PRIVILEGE.to_owned());
    }
    if !missing(error) {
        return None;
    }
    let known = ["bridge", "veth", "macvlan", "ipvlan", "dummy", "vlan"];
    let module = known.into_iter().find(|kind| error.doing.contains(&format!("the {kind} ")));
    Some(match module {
        Some("vlan") => "the kernel lacks VLANs: `modprobe 8021q`".to_owned(),
        Some(module) => format!("the kernel lacks it: `modprobe {module}`"),
        None => "the kernel lacks nf_tables: `modprobe nf_tables`, or install iptables".to_owned(),
    })
}

/// What functions of this crate return.
pub type Result<T, E = NetworkError> = std::result::Result<T, E>;
