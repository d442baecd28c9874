//! Where the container stands: in whose namespaces and networks, and for how long.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::ExtraHost;
use spec::{
    ContainerConfig, EndpointSettings, HostConfig, IpcMode, NamespaceMode, NetworkMode,
    RestartError, RestartName, RestartPolicy,
};

use super::super::network::published;
use super::refuse;
use crate::error::Result;

pub(super) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<()> {
    network(config, host)?;
    restart(host)?;
    namespaces(host)?;
    for line in host.extra_hosts.iter().flatten() {
        ExtraHost::parse(line)?;
    }
    published(host).map(drop)
}

/// What cannot be told of a container that has somebody else's names or network.
fn network(config: &ContainerConfig, host: &HostConfig) -> Result<()> {
    let named = !config.hostname.is_empty();
    if host.network_mode == "container:" {
        return refuse("invalid network mode: invalid container format container:<name|id>");
    }
    if host.uts_mode == "host" && named {
        return refuse("conflicting options: hostname and the UTS mode");
    }
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let mode = NetworkMode::parse(&host.network_mode);
    if mode == NetworkMode::Host && some(&host.links) {
        return refuse(
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        );
    }
    if !matches!(mode, NetworkMode::Container(_)) {
        return Ok(());
    }
    let published = !host.port_bindings.is_empty() || host.publish_all_ports;
    let told = [
        (named, "hostname and the network mode"),
        (some(&host.dns), "dns and the network mode"),
        (some(&host.extra_hosts), "custom host-to-IP mapping and the network mode"),
        (!config.mac_address.is_empty(), "mac-address and the network mode"),
        (published, "port publishing and the container type network mode"),
        (!config.exposed_ports.is_empty(), "port exposing and the container type network mode"),
    ];
    match told.iter().find(|(told, _)| *told) {
        Some((_, words)) => refuse(format!("conflicting options: {words}")),
        None => Ok(()),
    }
}

/// Addresses and networks that were asked for beside one another.
pub(in super::super) fn endpoints(networks: &BTreeMap<String, EndpointSettings>) -> Result<()> {
    if networks.len() > 1 && networks.contains_key("host") {
        return refuse(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        );
    }
    for asked in networks.values().filter_map(|settings| settings.ipam_config.as_ref()) {
        let (ipv4, ipv6) = (&asked.ipv4_address, &asked.ipv6_address);
        if !ipv4.is_empty() && ipv4.parse::<Ipv4Addr>().is_err() {
            return refuse(format!("invalid IPv4 address: {ipv4}"));
        }
        if !ipv6.is_empty() && ipv6.parse::<Ipv6Addr>().is_err() {
            return refuse(format!("invalid IPv6 address: {ipv6}"));
        }
        let links = &asked.link_local_ips;
        if let Some(link) = links.iter().find(|text| text.parse::<IpAddr>().is_err()) {
            return refuse(format!("invalid link-local IP address: {link}"));
        }
    }
    Ok(())
}

/// What a container cannot have whose users are not the host's.
pub(in super::super) fn remapped(host: &HostConfig) -> Result<()> {
    if host.privileged {
        return refuse(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
        );
    }
    if host.network_mode == "host" {
        return refuse(
            "cannot share the host's network namespace when user namespaces are enabled",
        );
    }
    match host.pid_mode == "host" {
        true => refuse("cannot share the host PID namespace when user namespaces are enabled"),
        false => Ok(()),
    }
}

/// How often a container may be started again.
pub(in crate::container) fn restart_count(policy: &RestartPolicy) -> Result<()> {
    let why = match policy.maximum_retry_count {
        0 => return Ok(()),
        _ if policy.name != RestartName::OnFailure => RestartError::Count,
        count if count < 0 => RestartError::Negative,
        _ => return Ok(()),
    };
    refuse(why.to_string())
}

fn restart(host: &HostConfig) -> Result<()> {
    let policy = &host.restart_policy;
    restart_count(policy)?;
    match host.auto_remove && policy.name != RestartName::No {
        true => refuse("can't create 'AutoRemove' container with restart policy"),
        false => Ok(()),
    }
}

fn namespaces(host: &HostConfig) -> Result<()> {
    let HostConfig { cgroupns_mode, userns_mode, isolation, oom_score_adj: score, .. } = host;
    let own = |mode: &str| matches!(mode, "" | "private" | "host");
    let modes = [
        (NamespaceMode::parse(&host.pid_mode).is_some(), "PID", &host.pid_mode),
        (own(&host.uts_mode), "UTS", &host.uts_mode),
        (IpcMode::parse(&host.ipc_mode).is_some(), "IPC", &host.ipc_mode),
        (own(cgroupns_mode), "cgroup namespace", cgroupns_mode),
        (matches!(userns_mode.as_str(), "" | "host"), "USER", userns_mode),
    ];
    if let Some((_, kind, mode)) = modes.into_iter().find(|(known, ..)| !known) {
        return refuse(format!("invalid {kind} mode: {mode}"));
    }
    if !(isolation.is_empty() || isolation.eq_ignore_ascii_case("default")) {
        return refuse(format!("Invalid isolation: {isolation:?} - linux only supports 'default'"));
    }
    match (-1000..=1000).contains(score) {
        true => Ok(()),
        false => refuse(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")),
    }
}

#[cfg(test)]
mod tests {
    use spec::{IpamSettings, PortBinding};

    use super::super::tests::refused;
    use super::*;

    #[test]
    fn who_shares_a_network_is_told_nothing_of_his_own() {
        let joined = |change: fn(&mut ContainerConfig, &mut HostConfig)| {
            move |config: &mut ContainerConfig, host: &mut HostConfig| {
                host.network_mode = "container:web".to_owned();
                change(config, host);
            }
        };
        refused(joined(|_, _| {}), "");
        refused(joined(|_, host| host.dns = Some(Vec::new())), "");
        refused(joined(|config, _| config.hostname = "a".to_owned()), "hostname and the network");
        refused(joined(|_, host| host.dns = Some(vec![String::new()])), "dns and the network");
        refused(joined(|_, host| host.extra_hosts = Some(vec![String::new()])), "host-to-IP");
        refused(joined(|config, _| config.mac_address = "m".to_owned()), "mac-address and");
        refused(joined(|_, host| host.publish_all_ports = true), "port publishing and");
        let expose = |config: &mut ContainerConfig, _: &mut HostConfig| {
            config.exposed_ports.insert("80/tcp".to_owned());
        };
        refused(joined(expose), "port exposing and");
        refused(|_, host| host.network_mode = "container:".to_owned(), "<name|id>");
        let linked = |_: &mut ContainerConfig, host: &mut HostConfig| {
            host.network_mode = "host".to_owned();
            host.links = Some(vec!["web:w".to_owned()]);
        };
        refused(linked, "host type networking can't be used with links");
        let named_on_host = |config: &mut ContainerConfig, host: &mut HostConfig| {
            config.hostname = "a".to_owned();
            host.uts_mode = "host".to_owned();
        };
        refused(named_on_host, "hostname and the UTS mode");
    }

    #[test]
    fn addresses_are_addresses_and_the_hosts_network_stands_alone() {
        let said = |networks: &[(&str, &str)]| {
            let settings = |text: &str| {
                let ipam =
                    IpamSettings { ipv4_address: text.to_owned(), ..IpamSettings::default() };
                EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() }
            };
            let networks = networks.iter().map(|(name, text)| ((*name).to_owned(), settings(text)));
            endpoints(&networks.collect()).map_err(|error| error.to_string())
        };
        assert_eq!(said(&[("a", ""), ("b", "10.1.2.3")]), Ok(()));
        assert_eq!(said(&[("a", "x")]), Err("invalid IPv4 address: x".to_owned()));
        assert_eq!(said(&[("host", "")]), Ok(()));
        assert!(said(&[("bridge", ""), ("host", "")]).unwrap_err().starts_with("conflicting"));
    }

    #[test]
    fn a_policy_fits_what_becomes_of_the_container() {
        refused(|_, h| h.restart_policy.maximum_retry_count = 3, "only be used with 'on-failure'");
        let both = |_: &mut ContainerConfig, host: &mut HostConfig| {
            host.auto_remove = true;
            host.restart_policy.name = RestartName::Always;
        };
        refused(both, "can't create 'AutoRemove' container with restart policy");
    }

    #[test]
    fn namespaces_are_those_that_there_are() {
        refused(|_, h| h.ipc_mode = "x".to_owned(), "invalid IPC mode: x");
        refused(|_, h| h.pid_mode = "x".to_owned(), "invalid PID mode: x");
        refused(|_, h| h.uts_mode = "x".to_owned(), "invalid UTS mode: x");
        refused(|_, h| h.cgroupns_mode = "x".to_owned(), "invalid cgroup namespace mode: x");
        refused(|_, h| h.userns_mode = "x".to_owned(), "invalid USER mode: x");
        refused(|_, h| h.isolation = "hyperv".to_owned(), "linux only supports 'default'");
        refused(|_, h| h.oom_score_adj = 1001, "range for oom score adj is [-1000, 1000]");
    }

    #[test]
    fn who_has_users_of_his_own_has_less_of_the_hosts() {
        let said = |change: fn(&mut HostConfig)| {
            let mut host = HostConfig::default();
            change(&mut host);
            remapped(&host).map_err(|error| error.to_string())
        };
        assert_eq!(said(|_| {}), Ok(()));
        assert!(said(|host| host.privileged = true).unwrap_err().starts_with("privileged mode is"));
        let words = said(|host| host.network_mode = "host".to_owned()).unwrap_err();
        assert!(words.starts_with("cannot share the host's network"), "{words}");
        let words = said(|host| host.pid_mode = "host".to_owned()).unwrap_err();
        assert!(words.starts_with("cannot share the host PID"), "{words}");
    }

    #[test]
    fn names_and_ports_are_read_before_anything_is_made() {
        refused(|_, h| h.extra_hosts = Some(vec!["x".to_owned()]), "bad format for add-host");
        for (port, host_port, words) in [
            ("99999/tcp", "", "invalid containerPort: 99999"),
            ("80/tcp", "x", "invalid hostPort: x"),
        ] {
            let binding = PortBinding { host_port: host_port.to_owned(), ..PortBinding::default() };
            let ports = [(port.to_owned(), Some(vec![binding]))].into();
            refused(|_, h| h.port_bindings = ports, words);
        }
    }
}
