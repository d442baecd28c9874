//! The `syslog` driver: a message a line, to a daemon here or elsewhere.

use std::io;
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spec::Timestamp;

use super::config::Options;
use super::outlet::{Link, Outlet};
use super::tls::{LogTls, TlsLink};
use super::{LogError, LogFacts, Mode, Piece, Stream};

/// Where a daemon listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// This machine's own, at the usual places.
    Local,
    /// A path: datagrams or a stream, whichever it takes.
    Unix(PathBuf),
    /// Datagrams to `host:port`.
    Udp(String),
    /// A stream to `host:port`.
    Tcp(String),
    /// The same that nobody overhears.
    Tls(String),
}

/// What a program is, for the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facility(u8);

/// How a message is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyslogFormat {
    /// As C's `syslog` writes it.
    Unix,
    /// The old form, with the host's name.
    Rfc3164,
    /// The new form, in whole seconds.
    Rfc5424,
    /// The new form, in microseconds.
    Rfc5424Micro,
}

/// How the daemon is reached and written to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyslogConfig {
    /// Where it listens.
    pub address: Address,
    /// What is proved where nobody is to overhear.
    pub tls: LogTls,
    /// What the container is to it.
    pub facility: Facility,
    /// How it is told.
    pub format: SyslogFormat,
}

const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl SyslogConfig {
    pub(super) fn take(options: &mut Options) -> Result<SyslogConfig, LogError> {
        let bad = |option, value: &str, why: &str| LogError::BadOption {
            option,
            value: value.to_owned(),
            why: why.to_owned(),
        };
        let address = options.take("syslog-address").unwrap_or_default();
        let address =
            parse_address(&address).map_err(|why| bad("syslog-address", &address, why))?;
        let tls = tls(options)?;
        let facility = options.take("syslog-facility").unwrap_or_else(|| "daemon".to_owned());
        let number = FACILITIES.iter().find(|(name, _)| *name == facility).map(|(_, n)| *n);
        let number = number.or_else(|| facility.parse().ok().filter(|number| *number <= 23));
        let number =
            number.ok_or_else(|| bad("syslog-facility", &facility, "invalid syslog facility"))?;
        let format = options.take("syslog-format").unwrap_or_default();
        let format = match format.as_str() {
            "" => SyslogFormat::Unix,
            "rfc3164" => SyslogFormat::Rfc3164,
            "rfc5424" => SyslogFormat::Rfc5424,
            "rfc5424micro" => SyslogFormat::Rfc5424Micro,
            _ => return Err(bad("syslog-format", &format, "invalid syslog format")),
        };
        Ok(SyslogConfig { address, tls, facility: Facility(number), format })
    }
}

fn tls(options: &mut Options) -> Result<LogTls, LogError> {
    let mut file = |name: &str| {
        let path = options.take(&format!("syslog-tls-{name}"));
        path.filter(|path| !path.is_empty()).map(PathBuf::from)
    };
    let (authorities, certificate, key) = (file("ca-cert"), file("cert"), file("key"));
    let own = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => {
            return Err(LogError::Together(
                "syslog-tls-cert and syslog-tls-key belong together: one is missing",
            ));
        }
    };
    // As with docker, that it is there says all.
    let anybody = options.take("syslog-tls-skip-verify").is_some();
    Ok(LogTls { authorities, own, anybody, ..LogTls::default() })
}

fn parse_address(text: &str) -> Result<Address, &'static str> {
    if text.is_empty() {
        return Ok(Address::Local);
    }
    let (kind, rest) = text.split_once("://").ok_or("it has no protocol")?;
    let host = || match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && port.parse::<u16>().is_ok() => {
            Ok(format!("{host}:{port}"))
        }
        None if !rest.is_empty() => Ok(format!("{rest}:514")),
        _ if rest.ends_with(']') => Ok(format!("{rest}:514")),
        _ => Err("it has no port"),
    };
    match kind {
        "unix" | "unixgram" if rest.starts_with('/') => Ok(Address::Unix(PathBuf::from(rest))),
        "udp" => host().map(Address::Udp),
        "tcp" => host().map(Address::Tcp),
        "tcp+tls" => host().map(Address::Tls),
        _ => Err("the protocol must be udp, tcp, tcp+tls, unix or unixgram"),
    }
}

/// A connection to the daemon, and what every message says.
pub(super) struct Syslog {
    outlet: Outlet,
    config: SyslogConfig,
    tag: String,
    host: String,
    stream: bool,
}

impl Syslog {
    /// Connects.
    pub(super) fn open(
        config: &SyslogConfig,
        facts: &LogFacts,
        mode: Mode,
    ) -> Result<Syslog, LogError> {
        let reach = |source| {
            let what = match &config.address {
                Address::Local => "the local syslog daemon".to_owned(),
                Address::Unix(path) => format!("syslog at {}", path.display()),
                Address::Udp(host) | Address::Tcp(host) | Address::Tls(host) => {
                    format!("syslog at {host}")
                }
            };
            LogError::Reach { what, source }
        };
        // Whether it is a stream is found once; a daemon that comes back speaks as before.
        let (first, stream) = connect(config).map_err(reach)?;
        let again = config.clone();
        let anew = Box::new(move || connect(&again).map(|(link, _)| link));
        let outlet = Outlet::over(first, anew, !stream, mode).map_err(reach)?;
        let short = facts.id.chars().take(12).collect();
        let tag = if facts.tag.is_empty() { short } else { facts.tag.clone() };
        let host = sys::host::hostname();
        Ok(Syslog { outlet, config: config.clone(), tag, host, stream })
    }

    /// Sends a piece.
    pub(super) fn push(&mut self, stream: Stream, time: Timestamp, piece: Piece<'_>) {
        let severity = if stream == Stream::Stderr { 3 } else { 6 };
        let mut message = head(&self.config, severity, time, &self.host, &self.tag).into_bytes();
        message.extend_from_slice(piece.bytes);
        if self.stream {
            message.push(b'\n');
        }
        self.outlet.push(message);
    }

    pub(super) fn outlet(&mut self) -> &mut Outlet {
        &mut self.outlet
    }
}

/// What stands before the line.
fn head(config: &SyslogConfig, severity: u8, time: Timestamp, host: &str, tag: &str) -> String {
    let (priority, pid) = (config.facility.0 * 8 + severity, std::process::id());
    let whole = Timestamp::from_unix(time.unix_seconds(), 0);
    match config.format {
        SyslogFormat::Unix => format!("<{priority}>{} {tag}[{pid}]: ", stamp(time)),
        SyslogFormat::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: ", stamp(time)),
        SyslogFormat::Rfc5424 => format!("<{priority}>1 {whole} {host} {tag} {pid} {tag} - "),
        SyslogFormat::Rfc5424Micro => {
            let whole = whole.to_string();
            let (seconds, micros) = (whole.trim_end_matches('Z'), time.nanos() / 1000);
            format!("<{priority}>1 {seconds}.{micros:06}Z {host} {tag} {pid} {tag} - ")
        }
    }
}

/// A time of the local zone as `Jan  2 15:04:05`.
fn stamp(time: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let local = time.docker_local();
    let month = local.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
    let day = local.get(8..10).unwrap_or("01").trim_start_matches('0');
    let clock = local.get(11..19).unwrap_or("00:00:00");
    format!("{} {day:>2} {clock}", MONTHS[(month - 1).min(11)])
}

/// How long a daemon may take to answer, all in all: the container's monitor waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connects, and says whether it is a stream of messages that need an end.
fn connect(config: &SyslogConfig) -> io::Result<(Link, bool)> {
    let (socket, stream) = match &config.address {
        Address::Local => {
            let places = ["/dev/log", "/var/run/syslog", "/var/run/log"];
            let mut result = Err(io::Error::from(io::ErrorKind::NotFound));
            for place in places {
                result = result.or_else(|_| connect_unix(Path::new(place)));
            }
            result
        }
        Address::Unix(path) => connect_unix(path),
        Address::Udp(host) => {
            let to = first(host)?;
            let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(from)?;
            socket.connect(to)?;
            Ok((socket.into(), false))
        }
        Address::Tcp(host) => {
            Ok((TcpStream::connect_timeout(&first(host)?, PATIENCE)?.into(), true))
        }
        Address::Tls(host) => {
            let to = first(host)?;
            let deadline = Instant::now() + PATIENCE;
            let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            let link = TlsLink::open(stream, name, &config.tls, deadline)?;
            return Ok((Link::Tls(Box::new(link)), true));
        }
    }?;
    Ok((Link::Plain(socket), stream))
}

fn first(host: &str) -> io::Result<std::net::SocketAddr> {
    host.to_socket_addrs()?.next().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn connect_unix(path: &Path) -> io::Result<(OwnedFd, bool)> {
    match sys::socket::connect_path(path, true) {
        Ok(socket) => Ok((socket, false)),
        Err(_) => Ok((sys::socket::connect_path(path, false)?, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, address) in [
            ("", Ok(Address::Local)),
            ("udp://1.2.3.4:1111", Ok(Address::Udp("1.2.3.4:1111".into()))),
            ("tcp://host", Ok(Address::Tcp("host:514".into()))),
            ("udp://[::1]", Ok(Address::Udp("[::1]:514".into()))),
            ("unixgram:///dev/log", Ok(Address::Unix("/dev/log".into()))),
            ("tcp+tls://host:6514", Ok(Address::Tls("host:6514".into()))),
            ("unix://x", Err("the protocol must be udp, tcp, tcp+tls, unix or unixgram")),
            ("host:1", Err("it has no protocol")),
            ("udp://host:x", Err("it has no port")),
        ] {
            assert_eq!(parse_address(text), address, "{text}");
        }
    }

    #[test]
    fn messages_have_their_form() {
        let (address, facility, tls) = (Address::Local, Facility(3), LogTls::default());
        let config =
            |format| SyslogConfig { address: address.clone(), tls: tls.clone(), facility, format };
        let time = Timestamp::from_unix(1_136_214_245, 120_000_000);
        let pid = std::process::id();
        let head = |format| head(&config(format), 6, time, "host", "tag");
        assert_eq!(
            head(SyslogFormat::Rfc5424Micro),
            format!("<30>1 2006-01-02T15:04:05.120000Z host tag {pid} tag - ")
        );
        assert_eq!(
            head(SyslogFormat::Rfc5424),
            format!("<30>1 2006-01-02T15:04:05Z host tag {pid} tag - ")
        );
        assert!(head(SyslogFormat::Rfc3164).ends_with(&format!(" host tag[{pid}]: ")));
        assert!(head(SyslogFormat::Unix).starts_with("<30>Jan  "));
    }
}
