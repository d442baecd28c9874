//! TLS with a host that is trusted for itself: its own certificate is one of those given for it.
//!
//! What docker's documentation makes with `openssl req -x509` is an authority that serves under a
//! name. Go takes it from a server where it is itself among those to trust; `rustls` takes no
//! authority from a server. That alone is different here.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ALL_VERSIONS, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    RootCertStore, SignatureScheme, StreamOwned,
};
use ureq::config::Config;
use ureq::tls::{Certificate, ClientCert, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    RustlsConnector, SocksConnector, TcpConnector, Transport, TransportAdapter,
};
use ureq::{Agent, Error};

use crate::rules::split_port;

/// How one host is asked over TLS; all others are asked as ever.
pub(crate) struct Trusted {
    /// `host[:port]`.
    host: String,
    config: Arc<ClientConfig>,
}

impl Trusted {
    /// For a host that certificates were given for, beside all authorities; nothing if none of those
    /// can be read.
    pub(crate) fn new(
        host: &str,
        own: &[Certificate<'static>],
        authorities: &[Certificate<'static>],
        client: Option<(&ClientCert, CryptoProvider)>,
    ) -> Option<Trusted> {
        let (client, provider) = match client {
            Some((client, provider)) => (Some(client), provider),
            None => (None, ring::default_provider()),
        };
        let provider = Arc::new(provider);
        let verifier = Verifier::new(own, authorities, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(ALL_VERSIONS)
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match client {
            None => config.with_no_client_auth(),
            Some(client) => {
                let key = PrivateKeyDer::try_from(client.private_key().der().to_vec()).ok()?;
                config.with_client_auth_cert(ders(client.certs()), key).ok()?
            }
        };
        Some(Trusted { host: host.to_owned(), config: Arc::new(config) })
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Trusted").field("host", &self.host).finish()
    }
}

fn ders(certificates: &[Certificate<'static>]) -> Vec<CertificateDer<'static>> {
    certificates.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect()
}

/// Whoever asks such a host, by a proxy or not; or any host by a proxy of which something else is
/// demanded.
pub(crate) fn agent(config: Config, trusted: Option<Trusted>, proxy: Option<TlsConfig>) -> Agent {
    let proxy = proxy.map(|tls| {
        let config = Agent::config_builder().tls_config(tls).build();
        ToProxy { config, inner: RustlsConnector::default() }
    });
    let connector =
        ().chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(Perhaps(proxy))
            .chain(Perhaps(trusted))
            .chain(RustlsConnector::default());
    Agent::with_parts(config, connector, DefaultResolver::default())
}

/// A part of a chain that may be missing.
#[derive(Debug)]
struct Perhaps<C>(Option<C>);

impl<In: Transport, C: Connector<In>> Connector<In> for Perhaps<C> {
    type Out = Either<In, C::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        match &self.0 {
            None => Ok(chained.map(Either::A)),
            Some(inner) => Ok(inner.connect(details, chained)?.map(Either::B)),
        }
    }
}

/// TLS with a proxy. What is said of a registry, its authorities, our certificate for it, or that it
/// need not prove who it is, says nothing of the proxy on the way to it.
#[derive(Debug)]
struct ToProxy {
    config: Config,
    inner: RustlsConnector,
}

impl<In: Transport> Connector<In> for ToProxy {
    type Out = Either<In, <RustlsConnector as Connector<In>>::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // Behind the tunnel is the host; the connection to the proxy itself has no proxy.
        if details.config.proxy().is_some() || !details.needs_tls() {
            return Ok(chained.map(Either::A));
        }
        let to_proxy = ConnectionDetails {
            uri: details.uri,
            addrs: details.resolver.empty(),
            config: &self.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        Ok(self.inner.connect(&to_proxy, chained)?.map(Either::B))
    }
}

impl<In: Transport> Connector<In> for Trusted {
    type Out = Either<In, Encrypted>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        let host = details.uri.authority().map_or("", |authority| authority.as_str());
        // A proxy on the way is somebody else.
        if !details.needs_tls() || transport.is_tls() || !host.eq_ignore_ascii_case(&self.host) {
            return Ok(Some(Either::A(transport)));
        }
        let bare = split_port(host).0.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(bare).map_err(|_| Error::Tls("the host is no name"))?;
        let mut conn = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut sock = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(Encrypted { buffers, stream: StreamOwned { conn, sock } })))
    }
}

/// A connection over TLS.
pub(crate) struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Encrypted")
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Checks servers as `rustls` does, but for the one difference.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(
        own: &[Certificate<'static>],
        authorities: &[Certificate<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Option<Verifier> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(ders(authorities));
        let usual =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        Some(Verifier { usual: usual.build().ok()?, own: ders(own) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.usual.verify_server_cert(certificate, others, name, ocsp, now) {
            // Its dates have been looked at by then.
            Err(error)
                if is_authority(&error)
                    && self.own.iter().any(|own| own == certificate)
                    && may_serve(certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            usual => usual,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether all that is wrong with a server's certificate so far is that it is an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// What the extension is called that says what a certificate is for, and what servers and everything
/// are called there: 2.5.29.37, 1.3.6.1.5.5.7.3.1 and 2.5.29.37.0.
const USAGES: &[u8] = &[0x55, 0x1d, 0x25];
const SERVERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const EVERYTHING: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// Where a certificate has its extensions.
const EXTENSIONS: u8 = 0xa3;

/// Whether a certificate is one of servers, among others. One that does not say it is for everything.
fn may_serve(certificate: &[u8]) -> bool {
    let first = |bytes| elements(bytes).next().map(|(_, inside)| inside);
    let signed = first(certificate).and_then(first).unwrap_or_default();
    let listed = elements(signed).find(|(tag, _)| *tag == EXTENSIONS);
    let listed = listed.and_then(|(_, list)| first(list)).unwrap_or_default();
    let mut usages = elements(listed).filter(|(_, one)| first(one) == Some(USAGES));
    usages.all(|(_, one)| {
        let said = elements(one).last().and_then(|(_, text)| first(text)).unwrap_or_default();
        elements(said).any(|(_, usage)| usage == SERVERS || usage == EVERYTHING)
    })
}

/// The parts of DER one after the other: the tag of each, and what is in it. What is none ends them.
fn elements(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (tag, after) = rest.split_first()?;
        let (first, after) = after.split_first()?;
        let (length, after) = match first {
            0..=0x7f => (usize::from(*first), after),
            0x81..=0x83 => {
                let (length, after) = after.split_at_checked(usize::from(first & 0x7f))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), after)
            }
            _ => return None,
        };
        let (inside, after) = after.split_at_checked(length)?;
        rest = after;
        Some((*tag, inside))
    })
}

#[cfg(test)]
mod tests;
