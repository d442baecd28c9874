//! `--ssh`, read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use engine::{EngineError, KeyAgents, Keyring, SshKey};

use crate::commands::reason;
use crate::context::Context;
use crate::failure::Failure;

/// What `--ssh` gives to a build.
#[derive(Default)]
pub(crate) struct Agents {
    /// Sockets of agents.
    pub(crate) sockets: BTreeMap<String, PathBuf>,
    /// An agent of our own for keys.
    pub(crate) keyring: Option<Arc<dyn Keyring>>,
}

/// The files that `--ssh` names: a socket, or keys. Without any it is the user's own agent.
pub(crate) fn own_paths(text: &str) -> Vec<String> {
    match text.split_once('=') {
        None => Vec::new(),
        Some((_, path)) if is_socket(path) => vec![path.to_owned()],
        Some((_, paths)) => paths.split(',').map(str::to_owned).collect(),
    }
}

fn is_socket(path: &str) -> bool {
    let found = std::fs::metadata(path);
    found.is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()))
}

/// `--ssh default|ID[=SOCKET|KEY[,KEY]]`.
pub(crate) fn agents(context: &Context, list: &[String]) -> Result<Agents, Failure> {
    let (mut agents, mut keys) = (Agents::default(), BTreeMap::new());
    for text in list {
        let (id, paths) = match text.split_once('=') {
            Some((id, paths)) => (id, Some(paths)),
            None => (text.as_str(), None),
        };
        let paths = paths.or_else(|| context.variable("SSH_AUTH_SOCK")).ok_or_else(|| {
            Failure::new("ERROR: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
        })?;
        match is_socket(paths) {
            true => {
                // Commands are begun elsewhere.
                let path = std::path::absolute(paths).map_err(EngineError::io("find", paths))?;
                agents.sockets.insert(id.to_owned(), path);
            }
            false => {
                let own = paths.split(',').map(ssh_key).collect::<Result<Vec<_>, _>>()?;
                keys.insert(id.to_owned(), own);
            }
        }
    }
    if !keys.is_empty() {
        let random = sys::host::random_id().map_err(EngineError::io("read", "/proc"))?;
        let folder = context.settings()?.run_root.join("builds").join(random);
        agents.keyring = Some(Arc::new(KeyAgents::new(keys, folder)));
    }
    Ok(agents)
}

/// A private key in a file.
fn ssh_key(path: &str) -> Result<SshKey, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| reason(&error));
    text.and_then(|text| SshKey::parse(&text)).map_err(|why| {
        Failure::new(format!("ERROR: cannot read the ssh key {path}: {why}"))
            .hint("start ssh-agent, add the key with ssh-add, and give its socket or nothing")
    })
}
