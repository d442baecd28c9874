//! Certificates: whom clients by TCP meet, and who vouches for them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::error::ApiError;

/// Certificates: the server's own, and who may have signed those of clients.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who may have signed clients' certificates. Without, clients need not prove who they are.
    pub authorities: Option<PathBuf>,
    /// The server's certificate, with those it hangs on.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Tls {
    /// What a server with these does: it talks to clients that prove who they are, and to no others,
    /// unless there is nobody whose word on them would count.
    pub(crate) fn read(&self) -> Result<ServerConfig, ApiError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = match &self.authorities {
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(failed(file))?;
                }
                let provider = provider.clone();
                let strict = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                strict.build().map_err(failed(file))?
            }
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(failed(&self.key))?;
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed(&self.certificate))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&self.certificate)?, key)
            .map_err(failed(&self.certificate))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ApiError> {
    let all = CertificateDer::pem_file_iter(path).map_err(failed(path))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(failed(path))?;
    match all.is_empty() {
        true => Err(failed(path)("there is no certificate in it")),
        false => Ok(all),
    }
}

fn failed<E: Into<Box<dyn Error + Send + Sync>>>(path: &Path) -> impl FnOnce(E) -> ApiError {
    let path = path.to_owned();
    move |error| ApiError::Certificate { path, source: error.into() }
}
