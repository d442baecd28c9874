//! Mica's own file of credentials: sealed with a key that lies in another file, in another folder,
//! so that neither a copy of the one nor of the other gives anything away.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use sys::lock::{Mode, lock};
use zeroize::Zeroizing;

use crate::error::CredentialError;
use crate::secret::{Credential, Secret};

/// What is sealed with the text, so that another file cannot stand in its place.
const PURPOSE: &[u8] = b"mica credentials 1";
const VERSION: u32 = 1;
const KEY_BYTES: usize = 32;

/// The file, and its key's.
pub(super) struct Vault {
    pub(super) file: PathBuf,
    pub(super) key: PathBuf,
}

/// Server by server.
pub(super) type All = BTreeMap<String, Credential>;

/// The file as it lies there.
#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u32,
    nonce: String,
    sealed: String,
}

/// A credential as it is sealed.
#[derive(Serialize, Deserialize)]
struct Entry {
    kind: Kind,
    user: String,
    secret: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Password,
    IdentityToken,
    RegistryToken,
}

impl Vault {
    /// All that is in it.
    pub(super) fn read(&self) -> Result<All, CredentialError> {
        let bytes = match fs::read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(All::new()),
            other => other.map_err(super::io("read", &self.file))?,
        };
        let key = self.open_key()?.ok_or_else(|| self.wrong_key())?;
        self.unseal(&bytes, &key.bytes)
    }

    /// Changes it, one process at a time, and says whether there was something to change.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut All) -> bool,
    ) -> Result<bool, CredentialError> {
        let _one = super::one_at_a_time(&self.file)?;
        if !self.file.exists() {
            // A key that is none has sealed nothing.
            self.drop_broken_key()?;
        }
        let key = match self.open_key()? {
            Some(key) => key,
            None if self.file.exists() => return Err(self.wrong_key()),
            None => self.make_key()?,
        };
        lock(&key.file, Mode::Exclusive).map_err(super::io("lock", &self.key))?;
        let mut all = self.read()?;
        if !change(&mut all) {
            return Ok(false);
        }
        super::replace(&self.file, &self.seal(&all, &key.bytes)?)?;
        Ok(true)
    }

    /// Takes a server out. Nobody makes a key for a vault in which nothing is to be.
    pub(super) fn remove(&self, server: &str) -> Result<bool, CredentialError> {
        match self.file.exists() {
            true => self.change(|all| all.remove(server).is_some()),
            false => Ok(false),
        }
    }

    /// Takes it away with all that is in it, and a key that is none with it: the next login makes
    /// another.
    pub(super) fn destroy(&self) -> Result<bool, CredentialError> {
        let _one = super::one_at_a_time(&self.file)?;
        self.drop_broken_key()?;
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true).map_err(super::io("remove", &self.file)),
        }
    }

    fn drop_broken_key(&self) -> Result<(), CredentialError> {
        match self.open_key() {
            Err(CredentialError::WrongKey { .. }) => {
                fs::remove_file(&self.key).map_err(super::io("remove", &self.key))
            }
            _ => Ok(()),
        }
    }

    fn wrong_key(&self) -> CredentialError {
        let (path, key) = (self.file.display().to_string(), self.key.display().to_string());
        CredentialError::WrongKey { path, key }
    }

    fn malformed(&self, path: &Path, why: &str) -> CredentialError {
        CredentialError::Malformed { path: path.display().to_string(), why: why.to_owned() }
    }

    fn seal(&self, all: &All, key: &[u8; KEY_BYTES]) -> Result<Vec<u8>, CredentialError> {
        let entries: BTreeMap<&String, Entry> =
            all.iter().map(|(server, credential)| (server, Entry::of(credential))).collect();
        let plain = serde_json::to_vec(&entries).expect("texts are written to memory");
        let mut bytes = Zeroizing::new(plain);
        let nonce: [u8; NONCE_LEN] = random().map_err(super::io("write", &self.file))?;
        let sealed = cipher(key).seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(PURPOSE),
            &mut *bytes,
        );
        sealed.expect("a few credentials are not too long for the cipher");
        let [nonce, sealed] = [&nonce[..], &bytes[..]].map(|bytes| BASE64_STANDARD.encode(bytes));
        let document = Sealed { version: VERSION, nonce, sealed };
        Ok(serde_json::to_vec_pretty(&document).expect("texts are written to memory"))
    }

    fn unseal(&self, bytes: &[u8], key: &[u8; KEY_BYTES]) -> Result<All, CredentialError> {
        let malformed = |why: &str| self.malformed(&self.file, why);
        let document: Sealed = serde_json::from_slice(bytes).map_err(|_| malformed("no JSON"))?;
        if document.version != VERSION {
            return Err(malformed("a newer mica wrote it"));
        }
        let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| malformed("no base64"));
        let nonce: [u8; NONCE_LEN] =
            decode(&document.nonce)?.try_into().map_err(|_| malformed("its nonce is none"))?;
        let mut sealed = Zeroizing::new(decode(&document.sealed)?);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = cipher(key)
            .open_in_place(nonce, Aad::from(PURPOSE), &mut sealed[..])
            .map_err(|_| self.wrong_key())?;
        let entries: BTreeMap<String, Entry> =
            serde_json::from_slice(plain).map_err(|_| malformed("what is sealed is no JSON"))?;
        Ok(entries.into_iter().map(|(server, entry)| (server, entry.credential())).collect())
    }

    /// The key, if there is one. One that others can read is none.
    fn open_key(&self) -> Result<Option<Key>, CredentialError> {
        let mut file = match File::open(&self.key) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(super::io("open", &self.key))?,
        };
        let meta = file.metadata().map_err(super::io("read", &self.key))?;
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(CredentialError::OpenKey { path: self.key.display().to_string() });
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        match file.read_exact(&mut *bytes) {
            // A key of another length opens nothing: it is as good as another key.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.wrong_key()),
            Ok(()) if meta.len() != KEY_BYTES as u64 => Err(self.wrong_key()),
            read => {
                read.map_err(super::io("read", &self.key))?;
                Ok(Some(Key { file, bytes }))
            }
        }
    }

    /// Makes a key. The name appears with the bytes in it or not at all, and whoever loses the race
    /// goes on with the other's key.
    fn make_key(&self) -> Result<Key, CredentialError> {
        let folder = self.key.parent().unwrap_or(Path::new("."));
        super::make_folder(folder)?;
        let id = sys::host::random_id().map_err(super::io("write", &self.key))?;
        let aside = folder.join(format!(".{}", &id[..16]));
        let made = super::create_private(&aside).and_then(|mut file| {
            file.write_all(&*Zeroizing::new(random::<KEY_BYTES>()?))?;
            file.sync_all()?;
            match fs::hard_link(&aside, &self.key) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            }
        });
        // It has its name, or is of no use.
        let _ = fs::remove_file(&aside);
        made.map_err(super::io("write", &self.key))?;
        self.open_key()?.ok_or_else(|| self.wrong_key())
    }
}

struct Key {
    file: File,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key);
    LessSafeKey::new(key.expect("the key has the cipher's length"))
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the kernel gives no random numbers"))?;
    Ok(bytes)
}

impl Entry {
    fn of(credential: &Credential) -> Entry {
        let (kind, user, secret) = match credential {
            Credential::Password { user, password } => (Kind::Password, user.as_str(), password),
            Credential::IdentityToken { user, token } => {
                (Kind::IdentityToken, user.as_str(), token)
            }
            Credential::RegistryToken(token) => (Kind::RegistryToken, "", token),
        };
        let secret = Zeroizing::new(secret.expose().to_owned());
        Entry { kind, user: user.to_owned(), secret }
    }

    fn credential(self) -> Credential {
        let (user, secret) = (self.user, Secret::new(self.secret.as_str()));
        match self.kind {
            Kind::Password => Credential::Password { user, password: secret },
            Kind::IdentityToken => Credential::IdentityToken { user, token: secret },
            Kind::RegistryToken => Credential::RegistryToken(secret),
        }
    }
}
