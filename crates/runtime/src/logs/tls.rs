//! TLS to a log daemon: who is believed, and a connection that waits for nobody once it is made.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// What is proved on the way to a daemon.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogTls {
    /// Who may have signed the daemon's certificate; whom this machine believes if none is named.
    pub authorities: Option<PathBuf>,
    /// Whom this machine believes, if not those in the usual place.
    pub system: Option<PathBuf>,
    /// Our own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Whether anybody is believed.
    pub anybody: bool,
}

/// A connection that nobody overhears.
pub(super) struct TlsLink {
    stream: TcpStream,
    session: ClientConnection,
}

impl TlsLink {
    /// Speaks with the daemon until both know whom they talk to.
    pub(super) fn open(
        stream: TcpStream,
        host: &str,
        tls: &LogTls,
        deadline: Instant,
    ) -> io::Result<TlsLink> {
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let config = Arc::new(config(tls)?);
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut patient = Patient { stream: &stream, deadline };
        while session.is_handshaking() {
            session.complete_io(&mut patient)?;
        }
        stream.set_nonblocking(true)?;
        Ok(TlsLink { stream, session })
    }

    /// Takes bytes to send, as many as there is room for: none while earlier ones wait.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.hear()?;
        if !self.push()? {
            return Ok(None);
        }
        let taken = self.session.writer().write(bytes)?;
        self.push()?;
        Ok(Some(taken))
    }

    /// Whether something that was taken is still here.
    pub(super) fn has_to_send(&self) -> bool {
        self.session.wants_write()
    }

    /// Sends what was taken; false if there was no room for all.
    pub(super) fn push(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                written => drop(written?),
            }
        }
        Ok(true)
    }

    /// Hears what the daemon says. It has nothing to say, but what is left unread would break the
    /// connection off at its end, before the daemon has read all of ours.
    fn hear(&mut self) -> io::Result<()> {
        loop {
            match self.session.read_tls(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                heard => drop(heard?),
            }
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

/// A connection that is waited for until a point in time, however often something comes.
struct Patient<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Patient<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(bytes).map_err(too_late)
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(too_late)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The kernel says of a wait that is over that there is nothing yet.
fn too_late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Drop for TlsLink {
    fn drop(&mut self) {
        self.session.send_close_notify();
        // Who does not take it sees the connection end.
        let _ = self.hear().and_then(|()| self.push());
    }
}

impl AsFd for TlsLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn config(tls: &LogTls) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has the protocol's own ciphers");
    let builder = match tls.anybody {
        true => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        false => builder.with_root_certificates(roots(tls)?),
    };
    match &tls.own {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key_bytes = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, e))?;
            builder.with_client_auth_cert(chain, key_bytes).map_err(|e| wrong(certificate, e))
        }
    }
}

fn roots(tls: &LogTls) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let usual = || tls.system.clone().or_else(sys::host::authorities);
    match &tls.authorities {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| wrong(path, error))?;
            }
        }
        // Of all that a system believes, what is not understood is left out.
        None => {
            if let Some(path) = usual() {
                roots.add_parsable_certificates(certificates(&path)?);
            }
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, error))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| wrong(path, error))?;
    match all.is_empty() {
        true => Err(wrong(path, "there is no certificate in it")),
        false => Ok(all),
    }
}

fn wrong(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::other(format!("{}: {}", path.display(), error.into()))
}

/// Takes any certificate, as `syslog-tls-skip-verify` asks for.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_says_a_little_at_a_time_is_not_waited_for_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let dripping = std::thread::spawn(move || {
            let (mut there, _) = listener.accept().unwrap();
            // The head of a long message, and then the message.
            let bytes =
                [22, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xf0].into_iter().chain([0].repeat(2000));
            for byte in bytes {
                if there.write_all(&[byte]).is_err() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            false
        });
        let tls = LogTls { anybody: true, ..LogTls::default() };
        let deadline = Instant::now() + Duration::from_millis(200);
        let error = TlsLink::open(stream, "localhost", &tls, deadline).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(dripping.join().unwrap(), "the connection was ended before all was said");
    }

    #[test]
    fn whom_the_machine_believes_can_be_told() {
        let folder = tempfile::tempdir().unwrap();
        let system = Some(folder.path().join("none.pem"));
        let error = roots(&LogTls { system, ..LogTls::default() }).unwrap_err();
        assert!(error.to_string().contains("none.pem"), "{error}");
    }
}
