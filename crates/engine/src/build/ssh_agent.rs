//! An agent for keys that a build was given as files: it tells which there are, and signs with them.
//! The keys themselves it gives to nobody.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::agent::{Access, Listening};
use super::mounts::{TempFolder, make_private};
use super::request::Keyring;
use super::ssh_key::SshKey;
use super::ssh_wire::{Fields, put};
use crate::error::Result;

/// The kinds of what is said.
const FAILURE: u8 = 5;
const ASK_KEYS: u8 = 11;
const KEYS: u8 = 12;
const ASK_SIGNATURE: u8 = 13;
const SIGNATURE: u8 = 14;
/// Nothing that is said is longer.
const MESSAGE_BYTES: u32 = 256 << 10;

/// Keys by the ids that commands know them by.
pub struct KeyAgents {
    keys: BTreeMap<String, Arc<Vec<SshKey>>>,
    // Before the folder, which goes last.
    listening: Mutex<BTreeMap<String, Listening>>,
    folder: TempFolder,
}

impl KeyAgents {
    /// Agents for these keys, whose sockets will be in a folder that goes with them.
    pub fn new(keys: BTreeMap<String, Vec<SshKey>>, folder: PathBuf) -> KeyAgents {
        let keys = keys.into_iter().map(|(id, keys)| (id, Arc::new(keys))).collect();
        KeyAgents { keys, listening: Mutex::default(), folder: TempFolder(folder) }
    }
}

impl Keyring for KeyAgents {
    fn secret(&self, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn agent(&self, id: &str) -> Result<Option<PathBuf>> {
        let Some(keys) = self.keys.get(id).cloned() else { return Ok(None) };
        let folder = &self.folder.0;
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.keys.keys().take_while(|known| *known != id).count().to_string();
        if !listening.contains_key(id) {
            make_private(folder)?;
            let access = Access { owner: (0, 0), mode: 0o600 };
            let begun = Listening::begin(folder, &name, access, move |stream| {
                // Who says what is no message is heard no more.
                let _ = converse(&keys, stream);
            })?;
            listening.insert(id.to_owned(), begun);
        }
        Ok(Some(folder.join(name)))
    }
}

/// Answers until the other side has gone.
fn converse(keys: &[SshKey], mut stream: UnixStream) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MESSAGE_BYTES {
            return Err(io::Error::other("a message is too long"));
        }
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message)?;
        let answer = answer(keys, &message).unwrap_or_else(|| vec![FAILURE]);
        let mut framed = Vec::new();
        put(&mut framed, &answer);
        stream.write_all(&framed)?;
    }
}

fn answer(keys: &[SshKey], message: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = message.split_first()?;
    match *kind {
        ASK_KEYS => {
            let mut out = vec![KEYS];
            out.extend(u32::try_from(keys.len()).ok()?.to_be_bytes());
            for key in keys {
                put(&mut out, &key.public);
                put(&mut out, key.comment.as_bytes());
            }
            Some(out)
        }
        ASK_SIGNATURE => {
            let mut fields = Fields(rest);
            let (public, data) = (fields.text().ok()?, fields.text().ok()?);
            let flags = fields.number().ok()?;
            let signature = keys.iter().find(|key| key.public == public)?.sign(data, flags)?;
            let mut out = vec![SIGNATURE];
            put(&mut out, &signature);
            Some(out)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use super::*;

    /// Runs a program of ssh with this on its standard input.
    fn run(command: &mut Command, input: &[u8]) -> Output {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Makes a key by `ssh-keygen`, and has it sign by an agent of ours.
    fn check(folder: &Path, name: &str, options: &[&str]) {
        let path = folder.join(name);
        let (public, signed) = (path.with_extension("pub"), folder.join("signed"));
        let ssh = |words: &[&str]| {
            let mut command = Command::new("ssh-keygen");
            command.args(words);
            command
        };
        let made = run(ssh(&["-q", "-N", "", "-C", name]).args(options).arg("-f").arg(&path), b"");
        assert!(made.status.success(), "{name}: {made:?}");
        let key = SshKey::parse(&std::fs::read_to_string(&path).unwrap());
        let key = key.unwrap_or_else(|why| panic!("{name}: {why}"));
        std::fs::remove_file(&path).unwrap();
        let keys = [("default".to_owned(), vec![key])].into();
        let agents = KeyAgents::new(keys, folder.join(format!("{name}-agent")));
        assert_eq!(agents.agent("other").unwrap(), None);
        let socket = agents.agent("default").unwrap().unwrap();
        assert_eq!(agents.agent("default").unwrap().as_ref(), Some(&socket));
        let mut sign = ssh(&["-Y", "sign", "-n", "test", "-f"]);
        let made = run(sign.arg(&public).env("SSH_AUTH_SOCK", &socket), b"what is signed");
        assert!(made.status.success(), "{name}: {made:?}");
        std::fs::write(&signed, &made.stdout).unwrap();
        let verified = |text: &[u8]| {
            let mut verify = ssh(&["-Y", "check-novalidate", "-n", "test", "-s"]);
            run(verify.arg(&signed), text).status.success()
        };
        assert!(verified(b"what is signed") && !verified(b"what is not"), "{name}");
        let mut remove = Command::new("ssh-add");
        let removed = run(remove.arg("-d").arg(&public).env("SSH_AUTH_SOCK", &socket), b"");
        assert!(!removed.status.success(), "{name}: nobody takes a key away");
        drop(agents);
        assert!(!socket.exists());
    }

    #[test]
    fn ssh_takes_it_for_an_agent() {
        if Command::new("ssh-add").arg("-?").output().is_err() {
            return testkit::skip("needs ssh-keygen and ssh-add");
        }
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, options: &[&str]| check(folder.path(), name, options);
        check("ed25519", &["-t", "ed25519"]);
        check("p256", &["-t", "ecdsa", "-b", "256"]);
        check("p384", &["-t", "ecdsa", "-b", "384"]);
        check("p256-pkcs8", &["-t", "ecdsa", "-b", "256", "-m", "PKCS8"]);
        check("rsa", &["-t", "rsa", "-b", "2048"]);
        check("rsa-pem", &["-t", "rsa", "-b", "3072", "-m", "PEM"]);
        check("rsa-pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]);
    }
}
