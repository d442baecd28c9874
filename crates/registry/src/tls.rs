//! How a host's certificate is checked: the system's authorities, and docker's folder for the host.
//!
//! Nothing is read before a host asks for TLS, so that a machine without certificates can still
//! talk plain HTTP to itself.

use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::error::RegistryError;
use crate::rules::{Place, Security};

/// What is to be presented to a host and demanded of it.
pub(crate) fn config(
    place: &Place,
    folders: &[PathBuf],
    bundle: Option<&Path>,
) -> Result<TlsConfig, RegistryError> {
    let mut found = Found::default();
    for folder in folders {
        found.read_folder(&folder.join(&place.host))?;
    }
    for authority in &place.authorities {
        found.authorities.extend(certificates(authority)?);
    }
    if let Some((certificate, key)) = &place.client {
        found.client = Some(client(certificate, key)?);
    }
    // A folder for a host says who it must be, even if it is on this machine.
    let loose = place.security == Security::Loose && found.authorities.is_empty();
    let builder = TlsConfig::builder().disable_verification(loose).client_cert(found.client);
    if loose {
        return Ok(builder.build());
    }
    let mut authorities = system(bundle)?;
    authorities.extend(found.authorities);
    let roots = match authorities.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::new_with_certs(&authorities),
    };
    Ok(builder.root_certs(roots).build())
}

/// What is demanded of a host that nobody said anything about.
pub(crate) fn of_system(bundle: Option<&Path>) -> Result<TlsConfig, RegistryError> {
    let authorities = system(bundle)?;
    let roots = match authorities.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::new_with_certs(&authorities),
    };
    Ok(TlsConfig::builder().root_certs(roots).build())
}

/// Whether docker's folders have an authority for a host.
pub(crate) fn has_authority(place: &Place, folders: &[PathBuf]) -> bool {
    let mut files = folders.iter().flat_map(|folder| list(&folder.join(&place.host)));
    !place.authorities.is_empty() || files.any(|path| has_extension(&path, "crt"))
}

#[derive(Default)]
struct Found {
    authorities: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

impl Found {
    /// Docker's layout: `*.crt` are authorities, `*.cert` with `*.key` is the client's own.
    fn read_folder(&mut self, folder: &Path) -> Result<(), RegistryError> {
        for path in list(folder) {
            if has_extension(&path, "crt") {
                self.authorities.extend(certificates(&path)?);
            } else if has_extension(&path, "cert") {
                let key = path.with_extension("key");
                if !key.exists() {
                    let why = format!("missing key {} for client certificate", key.display());
                    return Err(failed(folder, why));
                }
                self.client = Some(client(&path, &key)?);
            }
        }
        Ok(())
    }
}

/// The files of a folder in order; none if it is not there.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

fn failed(path: &Path, why: impl ToString) -> RegistryError {
    RegistryError::Certificates { folder: path.display().to_string(), why: why.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let bytes = fs::read(path).map_err(|error| failed(path, error))?;
    // What is not a certificate (a comment, an odd old one) is no reason to trust nobody.
    let items = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(items.collect())
}

fn client(certificate: &Path, key: &Path) -> Result<ClientCert, RegistryError> {
    let chain = certificates(certificate)?;
    let bytes = fs::read(key).map_err(|error| failed(key, error))?;
    let key = PrivateKey::from_pem(&bytes).map_err(|error| failed(key, error))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

/// The system's authorities.
fn system(bundle: Option<&Path>) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let bundle = bundle.map(Path::to_owned).or_else(sys::host::authorities);
    bundle.map_or_else(|| Ok(Vec::new()), |bundle| certificates(&bundle))
}
