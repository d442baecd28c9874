//! Networks, ports, names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use spec::{
    ContainerConfig, EndpointSettings, HostConfig, HostPorts, IpamSettings, NetworkMode,
    PortBinding, PortMapping, port_mappings,
};

use super::config::is_mac_address;
use super::{Parsed, some_list, wrong};
use crate::args::{Matches, split_values};
use crate::failure::Failure;

pub(super) fn read(
    matches: &Matches,
    config: &mut ContainerConfig,
    host: &mut HostConfig,
) -> Parsed<BTreeMap<String, EndpointSettings>> {
    ports(matches, config, host)?;
    host.publish_all_ports = matches.flag("publish-all");
    host.dns = Some(matches.list("dns").to_vec());
    host.dns_options = Some(matches.list("dns-option").to_vec());
    let domain = |text: &String| {
        domain(text)
            .ok_or_else(|| wrong("dns-search", text, format!("{text} is not a valid domain")))
    };
    let domains = matches.list("dns-search").iter().map(domain);
    host.dns_search = Some(domains.collect::<Parsed<Vec<String>>>()?);
    for server in matches.list("dns") {
        let why = format!("IP address is not correctly formatted: {server}");
        server.parse::<IpAddr>().map_err(|_| wrong("dns", server, why))?;
    }
    host.extra_hosts = extra_hosts(matches)?;
    host.links = some_list(matches.list("link"));
    if let Some(link) = host.links.iter().flatten().find(|link| link.matches(':').count() > 1) {
        return Err(wrong("link", link, format!("bad format for links: {link}")));
    }
    let networks = networks(matches, host)?;
    Ok(networks)
}

/// A domain to search in, without the dot at its end; `.` is none at all.
fn domain(text: &str) -> Option<String> {
    let text = text.trim();
    if text == "." {
        return Some(text.to_owned());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(letter) && label.trim_matches('-') == label
    };
    let right = name.len() <= 255
        && name.contains(|c: char| c.is_ascii_alphabetic())
        && name.split('.').all(is_label);
    right.then(|| name.to_owned())
}

fn extra_hosts(matches: &Matches) -> Parsed<Option<Vec<String>>> {
    let mut lines = Vec::new();
    for text in matches.list("add-host") {
        let pair = text.split_once('=').or_else(|| text.split_once(':'));
        let Some((name, address)) = pair.filter(|(name, _)| !name.is_empty()) else {
            return Err(wrong("add-host", text, format!("bad format for add-host: {text:?}")));
        };
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
            let why = format!("invalid IP address in add-host: {address:?}");
            return Err(wrong("add-host", text, why));
        }
        lines.push(format!("{name}:{bare}"));
    }
    Ok((!lines.is_empty()).then_some(lines))
}

fn ports(matches: &Matches, config: &mut ContainerConfig, host: &mut HostConfig) -> Parsed<()> {
    for text in matches.list("publish") {
        for PortMapping { container, host_address, host: wanted } in published(text)? {
            let host_port = match wanted {
                HostPorts::Any => String::new(),
                HostPorts::Within(first, last) if first == last => first.to_string(),
                HostPorts::Within(first, last) => format!("{first}-{last}"),
            };
            let host_ip = host_address.map(|address| address.to_string()).unwrap_or_default();
            let key = container.to_string();
            config.exposed_ports.insert(key.clone());
            let bindings = host.port_bindings.entry(key).or_default().get_or_insert_default();
            bindings.push(PortBinding { host_ip, host_port });
        }
    }
    Ok(())
}

/// The short form of `-p`, or the long one of names and values.
fn published(text: &str) -> Parsed<Vec<PortMapping>> {
    let short = match text.contains('=') {
        false => text.to_owned(),
        true => short_form(text)?,
    };
    port_mappings(&short).map_err(|error| Failure::new(error.to_string()))
}

fn short_form(text: &str) -> Parsed<String> {
    let (mut target, mut published, mut protocol) =
        (String::new(), String::new(), "tcp".to_owned());
    for field in split_values(text).map_err(Failure::new)? {
        let Some((key, value)) = field.split_once('=').filter(|(_, value)| !value.is_empty())
        else {
            return Err(Failure::new(format!("invalid field: {field}")));
        };
        match key {
            "target" => value.clone_into(&mut target),
            "published" => value.clone_into(&mut published),
            "protocol" if ["tcp", "udp", "sctp"].contains(&value) => {
                value.clone_into(&mut protocol)
            }
            "protocol" => return Err(Failure::new(format!("invalid protocol value '{value}'"))),
            "mode" if ["host", "ingress"].contains(&value) => {}
            "mode" => {
                return Err(Failure::new(format!(
                    "invalid publish mode value ({value}): must be either 'ingress' or 'host'"
                )));
            }
            _ => return Err(Failure::new(format!("invalid field key: {key}"))),
        }
    }
    match (target.is_empty(), published.is_empty()) {
        (true, _) => {
            Err(Failure::new(format!("missing mandatory field '--publish target' in {text:?}")))
        }
        (false, true) => Ok(format!("{target}/{protocol}")),
        (false, false) => Ok(format!("{published}:{target}/{protocol}")),
    }
}

/// Each network that is named, with what is asked for in it. Flags beside `--network` are the
/// first one's.
fn networks(
    matches: &Matches,
    host: &mut HostConfig,
) -> Parsed<BTreeMap<String, EndpointSettings>> {
    let mut all = BTreeMap::new();
    let mut first = None;
    for text in matches.list("network") {
        let (name, settings) = one(text)?;
        if name.is_empty() {
            return Err(Failure::new("no name set for network"));
        }
        let mode = NetworkMode::parse(&name);
        let alone = !matches!(mode, NetworkMode::Named(_));
        if (alone && first.is_some()) || (first.is_some() && alone_in(&all)) {
            return Err(Failure::new(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            ));
        }
        if all.insert(name.clone(), settings).is_some() {
            return Err(Failure::new(format!("network {name:?} is specified multiple times")));
        }
        first.get_or_insert(name);
    }
    let name = first.unwrap_or_else(|| "default".to_owned());
    host.network_mode = if name == "default" { "bridge".to_owned() } else { name.clone() };
    let flags = flagged(matches)?;
    if flags != EndpointSettings::default() {
        let settings: &mut EndpointSettings = all.entry(host.network_mode.clone()).or_default();
        merge(settings, flags)?;
    }
    let has_names = |(name, settings): (&String, &EndpointSettings)| {
        settings.aliases.is_some() && !NetworkMode::parse(name).is_user_defined()
    };
    match all.iter().any(has_names) {
        true => {
            Err(Failure::new("network-scoped aliases are only supported for user-defined networks"))
        }
        false => Ok(all),
    }
}

fn alone_in(all: &BTreeMap<String, EndpointSettings>) -> bool {
    all.keys().any(|name| !matches!(NetworkMode::parse(name), NetworkMode::Named(_)))
}

/// What `--ip`, `--network-alias` and their like ask for.
fn flagged(matches: &Matches) -> Parsed<EndpointSettings> {
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let ipam = IpamSettings {
        ipv4_address: text("ip"),
        ipv6_address: text("ip6"),
        link_local_ips: matches.list("link-local-ip").to_vec(),
    };
    for address in [&ipam.ipv4_address, &ipam.ipv6_address].into_iter().chain(&ipam.link_local_ips)
    {
        if !address.is_empty() && address.parse::<IpAddr>().is_err() {
            return Err(Failure::new(format!("{address} is not an ip address")));
        }
    }
    Ok(EndpointSettings {
        ipam_config: (ipam != IpamSettings::default()).then_some(ipam),
        aliases: some_list(matches.list("network-alias")),
        links: some_list(matches.list("link")),
        mac_address: text("mac-address"),
        ..EndpointSettings::default()
    })
}

fn merge(settings: &mut EndpointSettings, flags: EndpointSettings) -> Parsed<()> {
    let conflict = |flag: &str, name: &str| {
        Err(Failure::new(format!(
            "conflicting options: cannot specify both --{flag} and per-network {name}"
        )))
    };
    if flags.aliases.is_some() && settings.aliases.is_some() {
        return conflict("network-alias", "alias");
    }
    if flags.ipam_config.is_some() && settings.ipam_config.is_some() {
        return conflict("ip", "IPv4 address");
    }
    if !flags.mac_address.is_empty() && !settings.mac_address.is_empty() {
        return conflict("mac-address", "MAC address");
    }
    settings.aliases = flags.aliases.or(settings.aliases.take());
    settings.ipam_config = flags.ipam_config.or(settings.ipam_config.take());
    settings.links = flags.links.or(settings.links.take());
    if settings.mac_address.is_empty() {
        settings.mac_address = flags.mac_address;
    }
    Ok(())
}

/// Whether this is `key=value` rather than a name: docker looks for a letter on both sides.
fn has_values(text: &str) -> bool {
    let is_word = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.windows(3).any(|three| is_word(&three[0]) && three[1] == b'=' && is_word(&three[2]))
}

/// One `--network`: a name, or names and values.
fn one(text: &str) -> Parsed<(String, EndpointSettings)> {
    let wrong = |why: String| wrong("network", text, why);
    if !has_values(text) {
        return Ok((text.to_owned(), EndpointSettings::default()));
    }
    let mut name = String::new();
    let mut settings = EndpointSettings::default();
    let mut ipam = IpamSettings::default();
    for field in split_values(text).map_err(&wrong)? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(wrong(format!("invalid field {field}")));
        };
        let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
        match key.as_str() {
            "name" => name = value,
            "alias" => settings.aliases.get_or_insert_default().push(value),
            "ip" => ipam.ipv4_address = value,
            "ip6" => ipam.ipv6_address = value,
            "link-local-ip" => ipam.link_local_ips.push(value),
            "mac-address" if is_mac_address(&value) => settings.mac_address = value,
            "mac-address" => {
                return Err(Failure::new(format!("{value} is not a valid mac address")));
            }
            "gw-priority" => {
                settings.gw_priority = value
                    .parse()
                    .map_err(|_| wrong(format!("invalid gw-priority ({value}): invalid syntax")))?;
            }
            "driver-opt" => {
                let Some((key, value)) = value.split_once('=') else {
                    return Err(wrong(
                        "invalid key value pair format in driver options".to_owned(),
                    ));
                };
                let options = settings.driver_opts.get_or_insert_default();
                options.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            _ => return Err(wrong(format!("invalid field key {key}"))),
        }
    }
    if name.is_empty() {
        return Err(wrong("network name/id is not specified".to_owned()));
    }
    settings.ipam_config = (ipam != IpamSettings::default()).then_some(ipam);
    Ok((name, settings))
}
