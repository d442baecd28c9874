//! Requests that a proxy makes for us: those to hosts that speak plain HTTP.
//!
//! Go's client asks an HTTP proxy for the whole address, `GET http://host/path`, where `ureq` knows
//! only tunnels (`CONNECT`), which many proxies allow to port 443 alone. So the connection is one to
//! the proxy, and the head of each request is changed on its way out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Error};

use crate::proxy::Proxy;
use crate::secret::Secret;

/// Whoever asks a proxy for everything.
pub(crate) fn agent(config: Config, proxy: &Proxy) -> Agent {
    let proxy = proxy.tunnel();
    let pair = proxy.username().map(|user| {
        let pair = Secret::new(format!("{user}:{}", proxy.password().unwrap_or_default()));
        let encoded = Secret::new(BASE64_STANDARD.encode(pair.expose()));
        Secret::new(format!("Proxy-Authorization: Basic {}\r\n", encoded.expose()))
    });
    let connector = ToProxy {
        proxy: proxy.uri().clone(),
        authorization: pair.unwrap_or_else(|| Secret::new("")),
        inner: DefaultConnector::new(),
        resolver: DefaultResolver::default(),
    };
    Agent::with_parts(config, connector, Unasked)
}

/// Looks up nobody: the hosts' names are the proxy's to look up.
#[derive(Debug)]
struct Unasked;

impl Resolver for Unasked {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Connects to the proxy, whoever is asked.
#[derive(Debug)]
struct ToProxy {
    proxy: Uri,
    /// A line of a head, or nothing.
    authorization: Secret,
    inner: DefaultConnector,
    resolver: DefaultResolver,
}

impl Connector for ToProxy {
    type Out = Forwarded;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Forwarded>, Error> {
        let to_proxy = ConnectionDetails {
            uri: &self.proxy,
            addrs: self.resolver.resolve(&self.proxy, details.config, details.timeout)?,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let authority = details.uri.authority().map_or("", |authority| authority.as_str());
        let origin = format!("http://{authority}");
        let authorization = self.authorization.clone();
        let inner = self.inner.connect(&to_proxy, chained)?;
        Ok(inner.map(|inner| Forwarded { inner, origin, authorization, in_request: false }))
    }
}

/// A connection to the proxy, for one host.
#[derive(Debug)]
struct Forwarded {
    inner: Box<dyn Transport>,
    origin: String,
    authorization: Secret,
    /// Whether the head of a request has gone, and its answer has not come yet.
    in_request: bool,
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let amount = match std::mem::replace(&mut self.in_request, true) {
            true => amount,
            false => {
                let output = self.inner.buffers().output();
                forwarded(output, amount, &self.origin, self.authorization.expose()).ok_or_else(
                    || Error::BadUri("the head of the request is too long".to_owned()),
                )?
            }
        };
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // Nobody asks to go on before sending a body: what is read is an answer, and the end of it.
        self.in_request = false;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// Puts the host before the path of a head, and a line behind its first. Gives the new length, if
/// there is room for it.
fn forwarded(output: &mut [u8], amount: usize, origin: &str, line: &str) -> Option<usize> {
    let head = output.get(..amount)?;
    let path = head.iter().position(|byte| *byte == b' ')? + 1;
    let rest = path + head[path..].windows(2).position(|end| end == b"\r\n")? + 2;
    let longer = amount + origin.len() + line.len();
    if longer > output.len() {
        return None;
    }
    output.copy_within(rest..amount, rest + origin.len() + line.len());
    output.copy_within(path..rest, path + origin.len());
    output[path..][..origin.len()].copy_from_slice(origin.as_bytes());
    output[rest + origin.len()..][..line.len()].copy_from_slice(line.as_bytes());
    Some(longer)
}

#[cfg(test)]
mod tests {
    use super::forwarded;

    fn check(head: &str, room: usize, line: &str, expected: Option<&str>) {
        let mut output = vec![0; room];
        output[..head.len()].copy_from_slice(head.as_bytes());
        let length = forwarded(&mut output, head.len(), "http://a.org:5", line);
        let got = length.map(|length| String::from_utf8(output[..length].to_vec()).unwrap());
        assert_eq!(got.as_deref(), expected, "{head:?}");
    }

    #[test]
    fn a_head_names_the_host() {
        let whole = "GET http://a.org:5/v2/?a=b HTTP/1.1\r\nHost: a.org:5\r\n\r\nbody";
        check("GET /v2/?a=b HTTP/1.1\r\nHost: a.org:5\r\n\r\nbody", 99, "", Some(whole));
        let known = "HEAD http://a.org:5/ HTTP/1.1\r\nX: y\r\nA: b\r\n\r\n";
        check("HEAD / HTTP/1.1\r\nA: b\r\n\r\n", 99, "X: y\r\n", Some(known));
        check("HEAD / HTTP/1.1\r\nA: b\r\n\r\n", 40, "X: y\r\n", None);
        check("no head", 99, "", None);
    }
}
