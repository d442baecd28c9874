//! Names and passwords, in the file that `htpasswd -B` writes.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spec::{Digest, Hasher};

/// Credentials that were right are remembered, so that not every request takes the tenth of a second
/// that bcrypt is meant to take; of more than these, all are forgotten.
const REMEMBERED: usize = 4096;

/// Who there is. The file is read again when it changes.
pub struct Passwords {
    path: PathBuf,
    state: Mutex<State>,
    /// Without it, what is remembered says nothing about passwords.
    salt: [u8; 32],
    /// One guess at a time: whoever guesses waits for others who do, not everybody for them.
    guess: Mutex<()>,
}

struct State {
    read: Stamp,
    hashes: HashMap<String, String>,
    right: HashMap<Digest, String>,
}

/// What tells a file from its successor.
type Stamp = Option<(SystemTime, u64, u64)>;

/// Why a file with passwords cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordsError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is no name with a bcrypt hash.
    #[error("{}:{line}: not a name and a bcrypt hash, as `htpasswd -B` writes them", path.display())]
    Line {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

impl Passwords {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Passwords, PasswordsError> {
        let read = |source| PasswordsError::Read { path: path.to_owned(), source };
        let salt = sys::host::random_bytes().map_err(read)?;
        let state = State::read(path)?;
        let (state, guess) = (Mutex::new(state), Mutex::new(()));
        Ok(Passwords { path: path.to_owned(), state, salt, guess })
    }

    /// Who a header with name and password is, if they are right.
    pub(crate) fn user(&self, header: &str) -> Option<String> {
        let (scheme, encoded) = header.split_once(' ')?;
        let encoded = Some(encoded.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (name, password) = text.split_once(':')?;
        let hash = self.refreshed().hashes.get(name).cloned();
        // Whoever does not exist takes as long as whoever does, so that nobody learns who exists.
        let known = hash.as_deref().unwrap_or(NOBODY);
        let key = self.key(name, password, known);
        if let Some(user) = self.state().right.get(&key) {
            return Some(user.clone());
        }
        let is_right = {
            let _turn = self.guess.lock().unwrap_or_else(PoisonError::into_inner);
            bcrypt::verify(password, known).unwrap_or(false)
        };
        if !is_right || hash.is_none() {
            return None;
        }
        let mut state = self.state();
        if state.right.len() >= REMEMBERED {
            state.right.clear();
        }
        state.right.insert(key, name.to_owned());
        Some(name.to_owned())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file says now; what it said before, where it cannot be read.
    fn refreshed(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state();
        if state.read != stamp(&self.path)
            && let Ok(new) = State::read(&self.path)
        {
            *state = new;
        }
        state
    }

    /// Stands for name, password and hash together: a changed hash is another key.
    fn key(&self, name: &str, password: &str, hash: &str) -> Digest {
        let mut hasher = Hasher::sha256();
        for part in [&self.salt[..], name.as_bytes(), password.as_bytes(), hash.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finish()
    }
}

/// A hash of no password.
const NOBODY: &str = "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

impl State {
    fn read(path: &Path) -> Result<State, PasswordsError> {
        let read = stamp(path);
        let text = fs::read_to_string(path)
            .map_err(|source| PasswordsError::Read { path: path.to_owned(), source })?;
        let mut hashes = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair =
                line.split_once(':').filter(|(name, hash)| !name.is_empty() && is_bcrypt(hash));
            let Some((name, hash)) = pair else {
                return Err(PasswordsError::Line { path: path.to_owned(), line: number + 1 });
            };
            hashes.insert(name.to_owned(), hash.to_owned());
        }
        Ok(State { read, hashes, right: HashMap::new() })
    }
}

fn is_bcrypt(hash: &str) -> bool {
    hash.len() == 60 && ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| hash.starts_with(kind))
}

fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let data = fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_who_is_who_and_notices_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        let line =
            |name: &str, password: &str| format!("{name}:{}\n", bcrypt::hash(password, 4).unwrap());
        fs::write(&path, format!("# people\n\n{}", line("me", "sword:fish"))).unwrap();
        let passwords = Passwords::open(&path).unwrap();
        let user = |text: &str| passwords.user(&format!("Basic {}", STANDARD.encode(text)));
        for _ in 0..2 {
            assert_eq!(user("me:sword:fish").as_deref(), Some("me"));
            assert_eq!(user("me:other"), None);
            assert_eq!(user("you:sword:fish"), None);
        }
        assert_eq!(passwords.user("Bearer bWU6eA=="), None);
        fs::write(folder.path().join("new"), line("you", "other")).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!((user("me:sword:fish"), user("you:other").as_deref()), (None, Some("you")));
        fs::write(&path, "me:plain\n").unwrap();
        assert!(matches!(Passwords::open(&path), Err(PasswordsError::Line { line: 1, .. })));
        assert_eq!(user("you:other").as_deref(), Some("you"), "the last good file counts");
    }
}
