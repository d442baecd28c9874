//! The files that tell a container's programs about names: `resolv.conf`, `hosts`, `hostname`.
//! Texts in, texts out.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dns::{self, Upstream};
use crate::error::{NetworkError, Result};

/// Who is asked where a host has no name server that a container could reach; docker's choice.
const LAST_RESORT: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];
/// The same with IPv6.
const LAST_RESORT6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844)),
];

/// Where a host's own file is, and where it is if a local cache stands before the real servers.
const HOST_FILE: &str = "/etc/resolv.conf";
const BEHIND_CACHE: &str = "/run/systemd/resolve/resolv.conf";
const CACHE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));

/// A `resolv.conf` as far as it means something.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resolver {
    /// Whom to ask.
    pub servers: Vec<IpAddr>,
    /// What is appended to short names.
    pub search: Vec<String>,
    /// How to ask.
    pub options: Vec<String>,
}

/// What the flags of `run` say about names; what is empty is taken from the host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResolverRequest {
    /// `--dns`.
    pub servers: Vec<IpAddr>,
    /// `--dns-search`; a single `.` means none at all.
    pub search: Vec<String>,
    /// `--dns-option`.
    pub options: Vec<String>,
}

impl Resolver {
    /// Reads a file; lines that mean nothing here are left out.
    pub fn parse(text: &str) -> Resolver {
        let mut found = Resolver::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                // A zone (`fe80::1%eth0`) names a link that the container does not have.
                Some("nameserver") => {
                    found.servers.extend(words.next().and_then(|it| it.parse::<IpAddr>().ok()))
                }
                // The last line of the kind holds.
                Some("search" | "domain") => found.search = words.map(str::to_owned).collect(),
                Some("options") => found.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        found
    }

    /// Which file of the host to read, by what its `/etc/resolv.conf` says.
    pub fn host_file(text: &str) -> &'static str {
        match Resolver::parse(text).servers.as_slice() {
            [one] if *one == CACHE => BEHIND_CACHE,
            _ => HOST_FILE,
        }
    }

    /// The host's resolver with what the user asked for instead.
    fn with(&self, request: &ResolverRequest) -> Resolver {
        let or = |own: &[String], host: &[String]| match own {
            [] => host.to_vec(),
            own => own.iter().filter(|it| *it != ".").cloned().collect(),
        };
        let servers = if request.servers.is_empty() { &self.servers } else { &request.servers };
        Resolver {
            servers: servers.clone(),
            search: or(&request.search, &self.search),
            options: or(&request.options, &self.options),
        }
    }

    /// For a container that shares the host's network: the host's, as it is.
    pub fn for_host(&self, request: &ResolverRequest) -> Resolver {
        self.with(request)
    }

    /// For the default network: what the host asks, without what is only on its loopback.
    pub fn for_default_network(&self, request: &ResolverRequest, ipv6: bool) -> Resolver {
        let mut made = self.with(request);
        if request.servers.is_empty() {
            made.servers.retain(|it| !it.is_loopback() && (ipv6 || it.is_ipv4()));
        }
        if made.servers.is_empty() {
            made.servers.extend(LAST_RESORT);
            made.servers.extend(LAST_RESORT6.into_iter().filter(|_| ipv6));
        }
        made
    }

    /// For a network of the user's: the embedded server, and what that one needs to know.
    pub fn for_user_network(
        &self,
        request: &ResolverRequest,
        internal: bool,
    ) -> (Resolver, dns::ServerSettings) {
        let mut made = self.with(request);
        let upstreams = match request.servers.as_slice() {
            _ if internal => Vec::new(),
            [] if made.servers.is_empty() => LAST_RESORT.map(Upstream::of_host).to_vec(),
            [] => made.servers.iter().copied().map(Upstream::of_host).collect(),
            named => named.iter().copied().map(Upstream::of_container).collect(),
        };
        let own_ndots = |it: &String| it.starts_with("ndots:") && it != "ndots:0";
        let settings = dns::ServerSettings {
            upstreams,
            single_words_stay: made.options.iter().any(own_ndots),
            ..dns::ServerSettings::default()
        };
        made.servers = vec![dns::ADDRESS.into()];
        if !made.options.iter().any(|it| it.starts_with("ndots:")) {
            // A container's name is a name without dots, and asked for first as it is.
            made.options.push("ndots:0".to_owned());
        }
        (made, settings)
    }

    /// The file.
    pub fn text(&self) -> String {
        let servers = self.servers.iter().map(|server| format!("nameserver {server}\n"));
        let mut text: String = servers.collect();
        for (word, list) in [("search", &self.search), ("options", &self.options)] {
            if !list.is_empty() {
                text += &format!("{word} {}\n", list.join(" "));
            }
        }
        text
    }
}

/// A line of `hosts` that the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtraHost {
    /// Its name.
    pub name: String,
    /// Its address; the host's own as the container sees it if none.
    pub address: Option<IpAddr>,
}

impl ExtraHost {
    /// Reads `--add-host NAME:ADDRESS`, `NAME=ADDRESS` or `NAME:host-gateway`; brackets around an
    /// address of IPv6 are allowed.
    pub fn parse(text: &str) -> Result<ExtraHost> {
        let wrong = |why: String| NetworkError::Invalid(why);
        let equals = text.split_once('=').filter(|(name, _)| !name.contains(':'));
        let (name, address) = equals
            .or_else(|| text.split_once(':'))
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
            .ok_or_else(|| wrong(format!("bad format for add-host: \"{text}\"")))?;
        let bare = address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(address);
        let address = match bare {
            "host-gateway" => None,
            _ => Some(
                bare.parse()
                    .map_err(|_| wrong(format!("invalid IP address in add-host: \"{address}\"")))?,
            ),
        };
        Ok(ExtraHost { name: name.to_owned(), address })
    }
}

/// The text of `hosts`: what every host has, what the user asked for, and the container itself.
/// `gateways` are the host's addresses as the container sees them.
pub fn hosts(
    own: &[IpAddr],
    hostname: &str,
    domain: &str,
    extra: &[ExtraHost],
    gateways: &[IpAddr],
    ipv6: bool,
) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n");
    if ipv6 {
        text += "::1\tlocalhost ip6-localhost ip6-loopback\n\
                 fe00::\tip6-localnet\n\
                 ff00::\tip6-mcastprefix\n\
                 ff02::1\tip6-allnodes\n\
                 ff02::2\tip6-allrouters\n";
    }
    let mut line = |address: &IpAddr, names: &str| {
        writeln!(text, "{address}\t{names}").expect("a text takes any text");
    };
    for host in extra {
        match &host.address {
            Some(address) => line(address, &host.name),
            None => gateways.iter().for_each(|gateway| line(gateway, &host.name)),
        }
    }
    for address in own {
        match domain {
            "" => line(address, hostname),
            domain => line(address, &format!("{hostname}.{domain} {hostname}")),
        }
    }
    text
}

/// The text of `hosts` when the container has left some of its addresses and got others. What else
/// somebody has written there stays, whatever it is.
pub fn moved_hosts(
    text: &[u8],
    left: &[IpAddr],
    got: &[IpAddr],
    hostname: &str,
    domain: &str,
) -> Vec<u8> {
    let names = match domain {
        "" => hostname.to_owned(),
        domain => format!("{hostname}.{domain} {hostname}"),
    };
    let own = |line: &[u8]| {
        let line = std::str::from_utf8(line).ok().and_then(|line| line.split_once('\t'));
        line.is_some_and(|(address, rest)| {
            rest == names && address.parse().is_ok_and(|address| left.contains(&address))
        })
    };
    let mut moved = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !own(line) {
            moved.extend(line);
            moved.push(b'\n');
        }
    }
    moved.extend(got.iter().flat_map(|address| format!("{address}\t{names}\n").into_bytes()));
    moved
}

/// The text of `hostname`.
pub fn hostname_file(hostname: &str) -> String {
    format!("{hostname}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by hand\nnameserver 127.0.0.1\nnameserver 192.0.2.53 ; first\n\
        nameserver fd00::53\nnameserver fe80::1%eth0\nsearch old.example\nsearch lan example.org\noptions timeout:1 rotate\n";

    #[test]
    fn the_default_network_asks_the_hosts_servers() {
        let host = Resolver::parse(HOST);
        let text = |request: &ResolverRequest, ipv6| host.for_default_network(request, ipv6).text();
        let plain = ResolverRequest::default();
        assert_eq!(
            text(&plain, false),
            "nameserver 192.0.2.53\nsearch lan example.org\noptions timeout:1 rotate\n"
        );
        assert!(text(&plain, true).contains("nameserver fd00::53\n"));
        let named = ResolverRequest {
            servers: vec!["127.0.0.9".parse().unwrap()],
            search: vec![".".into()],
            options: vec!["use-vc".into()],
        };
        assert_eq!(text(&named, false), "nameserver 127.0.0.9\noptions use-vc\n");
        let bare = Resolver::parse("nameserver 127.0.0.53\n");
        let made = bare.for_default_network(&plain, false).text();
        assert_eq!(made, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        assert_eq!(host.for_host(&plain).servers.len(), 3);
    }

    #[test]
    fn a_user_network_asks_the_embedded_server() {
        let host = Resolver::parse(HOST);
        let (made, server) = host.for_user_network(&ResolverRequest::default(), false);
        assert_eq!(
            made.text(),
            "nameserver 127.0.0.11\nsearch lan example.org\noptions timeout:1 rotate ndots:0\n"
        );
        assert_eq!(server.upstreams.len(), 3);
        assert!(server.upstreams[0].from_host && !server.upstreams[1].from_host);
        assert!(!server.single_words_stay);
        let request = ResolverRequest { options: vec!["ndots:2".into()], ..Default::default() };
        let (made, server) = host.for_user_network(&request, true);
        assert_eq!(made.options, ["ndots:2"]);
        assert!(server.single_words_stay && server.upstreams.is_empty());
    }

    #[test]
    fn a_cache_of_the_hosts_is_passed_by() {
        assert_eq!(Resolver::host_file("nameserver 127.0.0.53\noptions edns0"), BEHIND_CACHE);
        assert_eq!(Resolver::host_file("nameserver 192.0.2.1\n"), HOST_FILE);
        assert_eq!(Resolver::host_file(""), HOST_FILE);
    }

    #[test]
    fn hosts_have_dockers_lines() {
        let extra: Vec<_> = ["db:10.0.0.5", "six=[fd00::5]", "outer:host-gateway"]
            .map(|text| ExtraHost::parse(text).unwrap())
            .into();
        let text = hosts(
            &["172.17.0.2".parse().unwrap()],
            "web",
            "example.org",
            &extra,
            &["172.17.0.1".parse().unwrap()],
            true,
        );
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost"));
        let end =
            "10.0.0.5\tdb\nfd00::5\tsix\n172.17.0.1\touter\n172.17.0.2\tweb.example.org web\n";
        assert!(text.ends_with(end), "{text}");
        let plain = hosts(&["172.17.0.2".parse().unwrap()], "web", "", &[], &[], false);
        assert_eq!(plain, "127.0.0.1\tlocalhost\n172.17.0.2\tweb\n");
        assert_eq!(ExtraHost::parse("v6:fd00::1").unwrap().address, "fd00::1".parse().ok());
        for wrong in ["", "name", ":10.0.0.1", "name:", "name:300.0.0.1"] {
            assert!(ExtraHost::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(hostname_file("web"), "web\n");
        let (old, new) = (["172.17.0.2".parse().unwrap()], ["10.0.0.9".parse().unwrap()]);
        let before = [plain.as_bytes(), b"172.17.0.2\tmine\n\xff\xfe"].concat();
        let moved = moved_hosts(&before, &old, &new, "web", "");
        let after = b"127.0.0.1\tlocalhost\n172.17.0.2\tmine\n\xff\xfe\n10.0.0.9\tweb\n";
        assert_eq!(moved, after);
    }
}
