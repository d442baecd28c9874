//! The files that a container has of its own, and what is looked up in its root.

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;

use network::{Endpoint, ExtraHost, Resolver, ResolverRequest, dns, hostname_file, hosts};
use spec::NetworkMode;

use super::super::ContainerRecord;
use super::super::bundle::Accounts;
use super::super::link;
use super::super::network::Places;
use crate::error::{EngineError, Result};

/// No honest list of users is longer.
const ACCOUNT_BYTES: u64 = 4 << 20;

/// The users and groups that a root names.
pub(crate) fn accounts(root: impl AsFd) -> Result<Accounts> {
    let read = |name: &str| -> Result<String> {
        let Ok(file) = sys::fs::file_in_root(root.as_fd(), name) else { return Ok(String::new()) };
        let bytes = sys::read::opened(file, ACCOUNT_BYTES)
            .map_err(EngineError::io("read", format!("/{name}")))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Accounts::parse(&read("etc/passwd")?, &read("etc/group")?))
}

/// Writes `hosts`, `hostname` and `resolv.conf`, and says what a name server must know if the
/// container needs one.
pub(in crate::container) fn write(
    folder: &Path,
    record: &ContainerRecord,
    places: &Places,
    internal: bool,
    linked: &[ExtraHost],
) -> Result<Option<dns::ServerSettings>> {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(EngineError::io("write", &path))
    };
    let (config, host) = (&record.config, &record.host_config);
    let mode = NetworkMode::parse(&host.network_mode);
    put("hostname", &hostname_file(&config.hostname))?;
    let extra = host.extra_hosts.iter().flatten().map(|text| ExtraHost::parse(text));
    let mut extra: Vec<ExtraHost> = extra.collect::<Result<_, _>>()?;
    extra.extend(linked.iter().cloned());
    let own: Vec<IpAddr> = places.endpoints().flat_map(Endpoint::addresses).collect();
    let gateways: Vec<IpAddr> =
        places.endpoints().filter_map(|endpoint| endpoint.gateway4.map(IpAddr::V4)).collect();
    let text = match mode {
        // Who has names of his own asked for gets a file of his own.
        NetworkMode::Host if extra.is_empty() => {
            fs::read_to_string("/etc/hosts").unwrap_or_default()
        }
        _ => hosts(&own, &config.hostname, &config.domainname, &extra, &gateways, true),
    };
    put("hosts", &text)?;
    write_resolver(folder, record, places, internal)
}

/// Writes `resolv.conf`, and says what a name server must know if the container needs one.
pub(super) fn write_resolver(
    folder: &Path,
    record: &ContainerRecord,
    places: &Places,
    internal: bool,
) -> Result<Option<dns::ServerSettings>> {
    let mut request = resolver_request(record)?;
    if let (Some(way), true) = (&places.way_out, request.servers.is_empty()) {
        request.servers.push(way.names());
    }
    let resolver = host_resolver();
    let ipv6 = places.endpoints().any(|endpoint| endpoint.ipv6.is_some());
    let (resolver, server) = match NetworkMode::parse(&record.host_config.network_mode) {
        NetworkMode::Host | NetworkMode::Container(_) => (resolver.for_host(&request), None),
        _ if places.have_names() => {
            let (resolver, server) = resolver.for_user_network(&request, internal);
            let links = link::names(record)?.into();
            (resolver, Some(dns::ServerSettings { links, ..server }))
        }
        _ => (resolver.for_default_network(&request, ipv6), None),
    };
    let path = folder.join("resolv.conf");
    fs::write(&path, resolver.text()).map_err(EngineError::io("write", &path))?;
    Ok(server)
}

/// Writes into `hosts` that the container has left some of its addresses and got others. The file
/// stays the same one, since it is mounted.
pub(super) fn move_hosts(
    folder: &Path,
    record: &ContainerRecord,
    left: &[IpAddr],
    got: &[IpAddr],
) -> Result<()> {
    let config = &record.config;
    change_hosts(folder, |text| {
        network::moved_hosts(text, left, got, &config.hostname, &config.domainname)
    })
}

/// Takes the line of a link away from `hosts`.
pub(in crate::container) fn forget_host(folder: &Path, alias: &str) -> Result<()> {
    let is_about = |line: &[u8]| {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.nth(1) == Some(alias.as_bytes())
    };
    change_hosts(folder, |text| {
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        lines.filter(|line| !is_about(line)).flatten().copied().collect()
    })
}

fn change_hosts(folder: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<()> {
    let path = folder.join("hosts");
    let mut text = Vec::new();
    // The container's own may write there what they like, and so much of it.
    let file = fs::File::open(&path).map_err(EngineError::io("read", &path))?;
    file.take(ACCOUNT_BYTES).read_to_end(&mut text).map_err(EngineError::io("read", &path))?;
    fs::write(&path, change(&text)).map_err(EngineError::io("write", &path))
}

fn resolver_request(record: &ContainerRecord) -> Result<ResolverRequest> {
    let host = &record.host_config;
    let mut servers = Vec::new();
    for text in host.dns.iter().flatten() {
        let wrong = |_| EngineError::Start(format!("bad nameserver address: {text}"));
        servers.push(text.parse().map_err(wrong)?);
    }
    Ok(ResolverRequest {
        servers,
        search: host.dns_search.clone().unwrap_or_default(),
        options: host.dns_options.clone().unwrap_or_default(),
    })
}

/// What the host asks.
fn host_resolver() -> Resolver {
    let read = |path: &str| sys::read::text(Path::new(path)).unwrap_or_default();
    let text = read("/etc/resolv.conf");
    let path = Resolver::host_file(&text);
    Resolver::parse(&if path == "/etc/resolv.conf" { text } else { read(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_hosts_stays_when_a_line_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        fs::write(&path, b"10.0.0.2\tdb store\n\xff\xfe\n10.0.0.3\tother").unwrap();
        forget_host(folder.path(), "db").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"\xff\xfe\n10.0.0.3\tother");
    }
}
