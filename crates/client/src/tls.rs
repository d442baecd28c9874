//! An engine behind TLS: what is proved, and a socket that speaks plainly on this side.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sys::event::{Interest, poll};

use crate::error::{ClientError, Result};

/// What both sides prove. Nothing at all is a connection that nobody overhears and that may end at
/// anybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may have signed the engine's certificate; it is not checked without.
    pub authorities: Option<PathBuf>,
    /// The client's own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Parts of this size are passed on.
const PART_BYTES: usize = 16 << 10;
/// So much may wait for one side while the other is still read.
const WAITING_BYTES: usize = 64 << 10;

/// A socket on which is heard what the engine says, and said what it is to hear.
pub(crate) fn wrap(mut stream: TcpStream, address: &str, files: &TlsFiles) -> Result<File> {
    let place = || format!("tcp://{address}");
    let failed =
        |error: Box<dyn Error + Send + Sync>| ClientError::Tls { place: place(), source: error };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| failed(error.into()))?;
    let config = Arc::new(config(files)?);
    let mut session = ClientConnection::new(config, name).map_err(|error| failed(error.into()))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| failed(error.into()))?;
    }
    let made = || -> io::Result<File> {
        let (ours, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let pump =
            Pump { stream, session, near: theirs, to_near: Vec::new(), ended: Ended::default() };
        std::thread::Builder::new().name("tls".to_owned()).spawn(move || pump.run())?;
        Ok(File::from(OwnedFd::from(ours)))
    };
    made().map_err(|error| failed(error.into()))
}

/// Copies between the engine and our own end, until both have said all.
struct Pump {
    stream: TcpStream,
    session: ClientConnection,
    near: UnixStream,
    to_near: Vec<u8>,
    ended: Ended,
}

/// Who says no more.
#[derive(Default)]
struct Ended {
    near: bool,
    far: bool,
}

impl Pump {
    /// Whatever goes wrong is an end, and each side sees that.
    fn run(mut self) {
        while self.step().unwrap_or(false) {}
    }

    fn step(&mut self) -> io::Result<bool> {
        if self.ended.far && self.to_near.is_empty() {
            return Ok(false);
        }
        let far = Interest {
            read: !self.ended.far && self.to_near.len() < WAITING_BYTES,
            write: self.session.wants_write(),
        };
        let near = Interest {
            read: !self.ended.near && !self.session.wants_write(),
            write: !self.to_near.is_empty(),
        };
        let [from_far, from_near] =
            poll([(Some(self.stream.as_fd()), far), (Some(self.near.as_fd()), near)], None)?;
        if from_near.read && near.read {
            self.hear()?;
        }
        if from_far.read && far.read {
            self.receive()?;
        }
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                written => drop(written?),
            }
        }
        self.pass_on()
    }

    /// What our end says goes to the engine.
    fn hear(&mut self) -> io::Result<()> {
        let mut part = [0; PART_BYTES];
        match self.near.read(&mut part) {
            Ok(0) => {
                self.ended.near = true;
                self.session.send_close_notify();
            }
            Ok(count) => self.session.writer().write_all(&part[..count])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What the engine says is kept for our end.
    fn receive(&mut self) -> io::Result<()> {
        match self.session.read_tls(&mut self.stream) {
            Ok(0) => self.ended.far = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let state = self.session.process_new_packets().map_err(io::Error::other)?;
        self.ended.far |= state.peer_has_closed();
        let mut plain = vec![0; state.plaintext_bytes_to_read()];
        self.session.reader().read_exact(&mut plain)?;
        self.to_near.extend(plain);
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<bool> {
        while !self.to_near.is_empty() {
            match self.near.write(&self.to_near) {
                Ok(count) => drop(self.to_near.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn config(files: &TlsFiles) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has the protocol's own ciphers");
    let builder = match &files.authorities {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(wrong(path))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    };
    match &files.own {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?;
            builder.with_client_auth_cert(chain, key).map_err(wrong(certificate))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).map_err(wrong(path))?;
    let all: Vec<_> = all.collect::<std::result::Result<_, _>>().map_err(wrong(path))?;
    match all.is_empty() {
        true => Err(wrong(path)("there is no certificate in it")),
        false => Ok(all),
    }
}

fn wrong<E: Into<Box<dyn Error + Send + Sync>>>(path: &Path) -> impl FnOnce(E) -> ClientError {
    let path = path.to_owned();
    move |error| ClientError::Certificate { path, source: error.into() }
}

/// Takes any certificate, as `--tls` without `--tlsverify` asks for.
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
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
