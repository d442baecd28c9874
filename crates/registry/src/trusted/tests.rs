use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, Stream};
use ureq::tls::{PemItem, parse_pem};

use super::*;
use crate::client::{Access, Client, ClientSettings, Target};

/// Certificates as docker's documentation makes them, but `plain`, which is no authority.
const MAKE: &str = "set -e
    make() { name=$1; shift; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -days 2 -subj /CN=localhost -keyout $name.key -out $name.crt -addext \"$@\"; }
    make own subjectAltName=DNS:localhost,IP:127.0.0.1
    make same subjectAltName=DNS:localhost
    make elsewhere subjectAltName=DNS:other.org
    make client subjectAltName=DNS:localhost -addext extendedKeyUsage=clientAuth
    make server subjectAltName=DNS:localhost -addext extendedKeyUsage=clientAuth,serverAuth
    make plain subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE
    make leaf subjectAltName=DNS:localhost
    openssl req -new -key leaf.key -subj /CN=leaf -out leaf.csr
    echo subjectAltName=DNS:localhost > leaf.ext
    openssl x509 -req -in leaf.csr -CA own.crt -CAkey own.key -CAcreateserial -days 1 \
        -extfile leaf.ext -out leaf.crt";

/// A folder with them, if there is a program that makes them.
fn made() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let mut make = Command::new("sh");
    make.args(["-c", MAKE]).current_dir(folder.path()).stdin(Stdio::null());
    let made = make.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success();
    if !made {
        testkit::skip("needs openssl");
    }
    made.then_some(folder)
}

fn certificate(folder: &Path, name: &str) -> Certificate<'static> {
    let bytes = std::fs::read(folder.join(format!("{name}.crt"))).unwrap();
    let item = parse_pem(&bytes).next();
    match item {
        Some(Ok(PemItem::Certificate(certificate))) => certificate,
        _ => panic!("{name}.crt is no certificate"),
    }
}

#[test]
fn a_server_may_have_the_very_certificate_that_is_trusted() {
    let Some(folder) = made() else { return };
    let one = |name: &str| certificate(folder.path(), name);
    let der = |name: &str| CertificateDer::from(one(name).der().to_vec());
    let provider = Arc::new(ring::default_provider());
    let trusting = |names: &[&str]| {
        let own: Vec<_> = names.iter().map(|name| one(name)).collect();
        Verifier::new(&own, &own, &provider).unwrap()
    };
    let verifier = trusting(&["own", "elsewhere", "client", "server"]);
    let now = UnixTime::now();
    let day = Duration::from_secs(24 * 60 * 60);
    let at = |name: &str, host: &'static str, time: UnixTime| {
        let host = ServerName::try_from(host).unwrap();
        let told = verifier.verify_server_cert(&der(name), &[], &host, &[], time);
        told.map(|_| ()).map_err(|error| error.to_string())
    };
    let refused = |name: &str, host: &'static str, time: UnixTime, why: &str| {
        let told = at(name, host, time).unwrap_err();
        assert!(told.contains(why), "{name} {host}: {told}");
    };
    assert_eq!(at("own", "localhost", now), Ok(()));
    assert_eq!(at("own", "127.0.0.1", now), Ok(()));
    assert_eq!(at("server", "localhost", now), Ok(()));
    // What such a certificate has signed is taken as ever.
    assert_eq!(at("leaf", "localhost", now), Ok(()));
    refused("own", "other.org", now, "not valid for name");
    refused("elsewhere", "localhost", now, "not valid for name");
    refused(
        "own",
        "localhost",
        UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + 3 * day),
        "expired",
    );
    refused(
        "own",
        "localhost",
        UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) - day),
        "not valid yet",
    );
    // One of the same name with another key, which is not in the file.
    refused("same", "localhost", now, "CaUsedAsEndEntity");
    refused("client", "localhost", now, "CaUsedAsEndEntity");
    refused("plain", "localhost", now, "BadSignature");
    // What is trusted by the system and not given for the host is an authority and no server.
    let own = one("own");
    let general = Verifier::new(&[], &[own], &provider).unwrap();
    let host = ServerName::try_from("localhost").unwrap();
    assert!(general.verify_server_cert(&der("own"), &[], &host, &[], now).is_err());
}

/// A registry over TLS with one of the certificates; it has one document.
fn serve(folder: &Path, name: &str) -> u16 {
    let key = std::fs::read(folder.join(format!("{name}.key"))).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
    let chain = ders(&[certificate(folder, name)]);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(ALL_VERSIONS)
        .unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let mut socket = stream.unwrap();
                let mut connection = ServerConnection::new(config).unwrap();
                let mut stream = Stream::new(&mut connection, &mut socket);
                let mut asked = [0; 4096];
                // Whoever does not like the certificate says nothing.
                while stream.read(&mut asked).is_ok_and(|count| count > 0) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                }
            });
        }
    });
    port
}

#[test]
fn a_folder_of_certificates_names_the_server_itself() {
    let Some(folder) = made() else { return };
    let ask = |name: &str, given: &str| {
        let host = format!("localhost:{}", serve(folder.path(), name));
        let folders = tempfile::tempdir().unwrap();
        std::fs::create_dir(folders.path().join(&host)).unwrap();
        let file = folder.path().join(format!("{given}.crt"));
        std::fs::copy(file, folders.path().join(&host).join("ca.crt")).unwrap();
        let certificates = vec![folders.path().to_owned()];
        let client = Client::new(ClientSettings { certificates, ..ClientSettings::default() });
        let reference = spec::Reference::parse(&format!("{host}/a")).unwrap();
        let repository = client.repository(&reference, Access::Pull).unwrap();
        let document = repository.document(&Target::Tag("1".to_owned()));
        document.map(|document| document.bytes).map_err(|error| error.to_string())
    };
    assert_eq!(ask("own", "own"), Ok(b"{}".to_vec()));
    assert_eq!(ask("leaf", "own"), Ok(b"{}".to_vec()));
    let told = ask("elsewhere", "elsewhere").unwrap_err();
    assert!(told.contains("certificate is valid for other.org, not localhost"), "{told}");
    assert!(ask("same", "own").is_err());
}
