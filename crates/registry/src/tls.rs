//! How a host's certificate is checked: the system's authorities, and docker's folder for the host.
//!
//! Nothing is read before a host asks for TLS, so that a machine without certificates can still
//! talk plain HTTP to itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::error::RegistryError;
use crate::rules::{Place, Security};
use crate::secret::Secret;
use crate::trusted::Trusted;

/// What TLS is made with.
pub(crate) struct Tls {
    pub(crate) config: TlsConfig,
    /// For a host that certificates were given for.
    pub(crate) trusted: Option<Trusted>,
    /// What is demanded of a proxy on the way, if that is another thing.
    pub(crate) proxy: Option<TlsConfig>,
}

impl Tls {
    /// With a proxy on the way, of whom the host's settings say nothing.
    pub(crate) fn behind_proxy(self, bundle: Option<&Path>) -> Result<Tls, RegistryError> {
        Ok(Tls { proxy: Some(of_system(bundle)?.config), ..self })
    }
}

impl From<TlsConfig> for Tls {
    fn from(config: TlsConfig) -> Tls {
        Tls { config, trusted: None, proxy: None }
    }
}

/// What is to be presented to a host and demanded of it.
pub(crate) fn config(
    place: &Place,
    folders: &[PathBuf],
    bundle: Option<&Path>,
) -> Result<Tls, RegistryError> {
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
    let loose = match place.security {
        Security::Unverified => true,
        Security::Loose => found.authorities.is_empty(),
        Security::Checked | Security::Plain => false,
    };
    let mut builder = TlsConfig::builder().disable_verification(loose);
    let Found { authorities: own, client } = found;
    if client.is_some() {
        builder = builder
            .client_cert(client.clone())
            .unversioned_rustls_crypto_provider(Arc::new(provider()));
    }
    if loose {
        return Ok(builder.build().into());
    }
    let mut authorities = system(bundle)?;
    authorities.extend_from_slice(&own);
    let trusted = match own.is_empty() {
        true => None,
        false => {
            let client = client.as_ref().map(|client| (client, provider()));
            Trusted::new(&place.host, &own, &authorities, client)
        }
    };
    let roots = match authorities.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::new_with_certs(&authorities),
    };
    Ok(Tls { config: builder.root_certs(roots).build(), trusted, proxy: None })
}

/// What is demanded of a host that nobody said anything about.
pub(crate) fn of_system(bundle: Option<&Path>) -> Result<Tls, RegistryError> {
    let authorities = system(bundle)?;
    let roots = match authorities.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::new_with_certs(&authorities),
    };
    Ok(TlsConfig::builder().root_certs(roots).build().into())
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
    RegistryError::Certificates { path: path.display().to_string(), why: why.to_string() }
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

/// A client's certificate and key, tried here: what `rustls` refuses would be no error later, but
/// the end of the process.
fn client(certificate: &Path, key: &Path) -> Result<ClientCert, RegistryError> {
    let chain = certificates(certificate)?;
    let own = chain.first().ok_or_else(|| failed(certificate, "there is no certificate in it"))?;
    let bytes = fs::read(key).map_err(|error| failed(key, error))?;
    let pem = PrivateKey::from_pem(&bytes)
        .map_err(|_| failed(key, "there is no private key in it, or one behind a password"))?;
    let pem = labelled(pem);
    let known = PrivateKeyDer::try_from(pem.der().to_vec()).ok();
    let known =
        known.and_then(|der| ring::default_provider().key_provider.load_private_key(der).ok());
    let signing = known.ok_or_else(|| {
        failed(key, "its key is none of RSA with 2048 to 8192 bits, P-256, P-384 and Ed25519")
    })?;
    let own = CertificateDer::from(own.der());
    let named = ParsedCertificate::try_from(&own).ok();
    let belongs = named.zip(signing.public_key());
    let belongs = belongs.is_none_or(|(named, key)| named.subject_public_key_info() == key);
    match belongs {
        true => Ok(ClientCert::new_with_certs(&chain, pem)),
        false => {
            let why =
                format!("the key belongs to another certificate than {}", certificate.display());
            Err(failed(key, why))
        }
    }
}

/// A key under the label that fits it: as in Go, it is what it is, whatever its label says.
fn labelled(key: PrivateKey<'static>) -> PrivateKey<'static> {
    let label = match PrivateKeyDer::try_from(key.der()) {
        Ok(PrivateKeyDer::Pkcs1(_)) => "RSA PRIVATE KEY",
        Ok(PrivateKeyDer::Sec1(_)) => "EC PRIVATE KEY",
        Ok(PrivateKeyDer::Pkcs8(_)) => "PRIVATE KEY",
        _ => return key,
    };
    let encoded = Secret::new(BASE64_STANDARD.encode(key.der()));
    let encoded = encoded.expose();
    let pem = format!("-----BEGIN {label}-----\n{encoded}\n-----END {label}-----\n");
    PrivateKey::from_pem(Secret::new(pem).expose().as_bytes()).unwrap_or(key)
}

/// What `rustls` is made of, but that it does not look into our own certificate: it reads those of
/// X.509's third version alone, and the registry is who must read this one.
fn provider() -> CryptoProvider {
    CryptoProvider { key_provider: &OwnKeys, ..ring::default_provider() }
}

#[derive(Debug)]
struct OwnKeys;

impl KeyProvider for OwnKeys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = ring::default_provider().key_provider.load_private_key(key)?;
        Ok(Arc::new(OwnKey(key)))
    }
}

/// A key that does not say which certificates it fits.
#[derive(Debug)]
struct OwnKey(Arc<dyn SigningKey>);

impl SigningKey for OwnKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.0.choose_scheme(offered)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

/// The system's authorities.
fn system(bundle: Option<&Path>) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let bundle = bundle.map(Path::to_owned).or_else(sys::host::authorities);
    bundle.map_or_else(|| Ok(Vec::new()), |bundle| certificates(&bundle))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use ureq::Agent;

    use super::*;
    use crate::rules::Rules;

    /// Keys and certificates of all kinds, made by another program.
    const MAKE: &str = "set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a -keyout good.key -out good.cert
        openssl req -new -key good.key -subj /CN=a -out a.csr
        openssl x509 -req -in a.csr -signkey good.key -out old.cert && cp good.key old.key
        openssl x509 -in old.cert -noout -text | grep -q 'Version: 1 '
        cp good.cert other.cert && openssl ecparam -name prime256v1 -genkey -noout -out other.key
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -subj /CN=a -keyout large.key -out large.cert
        openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=a -keyout small.key -out small.cert
        openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a -keyout pkcs8.key -out pkcs8.cert
        cp pkcs8.cert pkcs1.cert && openssl rsa -in pkcs8.key -traditional -out pkcs1.key
        cp good.cert sec1.cert && openssl ec -in good.key -out sec1.key
        for name in pkcs8 pkcs1 sec1; do sed -i 's/ [A-Z ]*KEY-/ WRONG-/' $name.key; done
        sed -i 's/ WRONG-/ RSA PRIVATE KEY-/' pkcs8.key sec1.key
        sed -i 's/ WRONG-/ PRIVATE KEY-/' pkcs1.key
        : > none.cert && cp good.key none.key
        cp good.cert locked.cert && openssl ec -in good.key -aes128 -passout pass:x -out locked.key
        cp good.cert empty.cert && : > empty.key";

    #[test]
    fn a_clients_certificate_is_tried_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let mut make = Command::new("sh");
        make.args(["-c", MAKE]).current_dir(folder.path());
        if !make.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
            return testkit::skip("needs openssl");
        }
        // Somebody who listens and hangs up: it must not come to more than an error.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let try_it = |name: &str| {
            let file = |kind: &str| folder.path().join(format!("{name}.{kind}"));
            let client = Some((file("cert"), file("key")));
            let place = Place { client, ..Rules::default().place_of_host(&host) };
            let tls = config(&place, &[], None).map_err(|error| error.to_string())?.config;
            let agent = Agent::new_with_config(Agent::config_builder().tls_config(tls).build());
            assert!(agent.get(format!("https://{host}/")).call().is_err());
            Ok::<_, String>(())
        };
        assert_eq!(try_it("good"), Ok(()));
        // X.509's first version, which openssl makes if it is not told otherwise.
        assert_eq!(try_it("old"), Ok(()));
        // Keys under the labels of others.
        for name in ["pkcs8", "pkcs1", "sec1"] {
            assert_eq!(try_it(name), Ok(()), "{name}");
        }
        let check = |name: &str, file: &str, why: &str| {
            let path = folder.path().join(file);
            let expected = format!("cannot use {} for TLS: {why}", path.display());
            assert_eq!(try_it(name), Err(expected));
        };
        let other = format!(
            "the key belongs to another certificate than {}",
            folder.path().join("other.cert").display()
        );
        check("other", "other.key", &other);
        let known = "its key is none of RSA with 2048 to 8192 bits, P-256, P-384 and Ed25519";
        check("large", "large.key", known);
        check("small", "small.key", known);
        check("none", "none.cert", "there is no certificate in it");
        let locked = "there is no private key in it, or one behind a password";
        check("locked", "locked.key", locked);
        check("empty", "empty.key", locked);
    }
}
