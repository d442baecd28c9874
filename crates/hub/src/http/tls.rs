//! The server's certificate and key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read as PEM.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Key and certificate do not fit.
    #[error("certificate and key cannot be used")]
    Unusable {
        /// Why.
        source: rustls::Error,
    },
}

/// A certificate with those it hangs on, and its key.
pub struct Certificate(pub(crate) Arc<ServerConfig>);

impl Certificate {
    /// Reads both from files in PEM.
    pub fn open(certificate: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let read = |path: &Path| {
            let path = path.to_owned();
            |source| CertificateError::Read { path, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain: Vec<_> = chain.map_err(read(certificate))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|source| CertificateError::Unusable { source })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Certificate(Arc::new(config)))
    }
}
