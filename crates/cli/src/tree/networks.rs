//! `network` and what is below it.

use super::{Cmd, FORCE, FORMAT_DOCUMENT, FORMAT_ROWS, name_and_value};
use crate::args::{Arity, Command, Complete, Flag, Kind};
use crate::commands as run;

pub(super) static NETWORK: Cmd = Command {
    name: "network",
    usage: "COMMAND",
    about: "Manage networks",
    sub: &[&CONNECT, &CREATE, &DISCONNECT, &INSPECT, &LS, &PRUNE, &RM],
    ..Command::BLANK
};

static CONNECT: Cmd = Command {
    name: "connect",
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    examples: "  mica network connect --alias db web database",
    args: Arity::Exact(2),
    flags: &[&[
        Flag::new(Kind::Strings, "alias", "Add network-scoped alias for the container"),
        Flag::new(Kind::Strings, "driver-opt", "driver options for the network"),
        Flag::int(
            "gw-priority",
            "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
        ),
        Flag::string("ip", "IPv4 address (e.g., \"172.30.100.104\")"),
        Flag::string("ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
        Flag::list("link", "Add link to another container"),
        Flag::new(Kind::Strings, "link-local-ip", "Add a link-local address for the container"),
    ]],
    complete: &[Complete::Networks, Complete::Containers],
    action: Some(run::network::connect),
    ..Command::BLANK
};

static CREATE: Cmd = Command {
    name: "create",
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    examples: "  mica network create web\n  mica network create --subnet 10.7.0.0/24 --gateway 10.7.0.1 --internal vault",
    args: Arity::Exact(1),
    flags: &[&[
        Flag::bool("attachable", "Enable manual container attachment"),
        Flag::list("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver")
            .value("map")
            .default_value("map[]"),
        Flag::string("config-from", "The network from which to copy the configuration"),
        Flag::bool("config-only", "Create a configuration only network"),
        Flag::string("driver", "Driver to manage the Network").short('d').default_value("bridge"),
        Flag::new(Kind::Strings, "gateway", "IPv4 or IPv6 Gateway for the master subnet"),
        Flag::bool("ingress", "Create swarm routing-mesh network"),
        Flag::bool("internal", "Restrict external access to the network"),
        Flag::new(Kind::Strings, "ip-range", "Allocate container ip from a sub-range"),
        Flag::string("ipam-driver", "IP Address Management Driver").default_value("default"),
        Flag::list("ipam-opt", "Set IPAM driver specific options")
            .value("map")
            .default_value("map[]"),
        Flag::bool("ipv4", "Enable or disable IPv4 address assignment").default_value("true"),
        Flag::bool("ipv6", "Enable or disable IPv6 address assignment"),
        Flag::list("label", "Set metadata on a network"),
        Flag::list("opt", "Set driver specific options")
            .short('o')
            .value("map")
            .default_value("map[]"),
        Flag::string("scope", "Control the network's scope"),
        Flag::new(
            Kind::Strings,
            "subnet",
            "Subnet in CIDR format that represents a network segment",
        ),
    ]],
    action: Some(run::network::create),
    ..Command::BLANK
};

static DISCONNECT: Cmd = Command {
    name: "disconnect",
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    examples: "  mica network disconnect web database",
    args: Arity::Exact(2),
    flags: &[&[Flag::bool("force", "Force the container to disconnect from a network").short('f')]],
    complete: &[Complete::Networks, Complete::Containers],
    action: Some(run::network::disconnect),
    ..Command::BLANK
};

static INSPECT: Cmd = Command {
    name: "inspect",
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Display detailed information on one or more networks",
    examples: "  mica network inspect web",
    args: Arity::AtLeast(1),
    flags: &[&[
        FORMAT_DOCUMENT,
        Flag::bool("verbose", "Verbose output for diagnostics").short('v'),
    ]],
    complete: &[Complete::Networks],
    action: Some(run::network::inspect),
    ..Command::BLANK
};

static LS: Cmd = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List networks",
    examples: "  mica network ls\n  mica network ls --filter driver=bridge -q",
    args: Arity::None,
    flags: &[&[
        Flag::list("filter", "Provide filter values (e.g. \"driver=bridge\")")
            .short('f')
            .value("filter")
            .check(name_and_value),
        FORMAT_ROWS,
        Flag::bool("no-trunc", "Do not truncate the output"),
        Flag::bool("quiet", "Only display network IDs").short('q'),
    ]],
    action: Some(run::network::list),
    ..Command::BLANK
};

static PRUNE: Cmd = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove all unused networks",
    examples: "  mica network prune -f",
    args: Arity::None,
    flags: &[&[
        Flag::list("filter", "Provide filter values (e.g. \"until=<timestamp>\")")
            .value("filter")
            .check(name_and_value),
        FORCE,
    ]],
    action: Some(run::network::prune),
    ..Command::BLANK
};

static RM: Cmd = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "NETWORK [NETWORK...]",
    about: "Remove one or more networks",
    examples: "  mica network rm web",
    args: Arity::AtLeast(1),
    flags: &[&[Flag::bool("force", "Do not error if the network does not exist").short('f')]],
    complete: &[Complete::Networks],
    action: Some(run::network::remove),
    ..Command::BLANK
};
