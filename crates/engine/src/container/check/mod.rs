//! What no container can be asked for: refused before anything is made, in docker's words. The command
//! line says much of this sooner, but whoever comes by another door hears it here.

mod limits;
mod mounts;
mod place;
mod process;

use runtime::logs::{LogConfig, LogFacts};
use spec::{ContainerConfig, HostConfig};

pub(super) use limits::{limits, update};
pub(super) use place::{endpoints, remapped, restart_count};

use crate::error::{EngineError, Result};

/// Refuses what no container can be; returns what its user should know.
pub(super) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<String>> {
    process::check(config)?;
    place::check(config, host)?;
    mounts::check(host)?;
    let lost = host.network_mode == "host" && !host.port_bindings.is_empty();
    let words = "Published ports are discarded when using host network mode";
    Ok(lost.then(|| words.to_owned()).into_iter().collect())
}

/// Whether a container can be logged as is asked: told now, not when it starts.
pub(super) fn log(host: &HostConfig) -> Result<()> {
    let asked = &host.log_config;
    let log = LogConfig::parse(&asked.kind, &asked.config);
    let tagged = log.and_then(|log| log.tagged(LogFacts::default()));
    tagged.map(drop).map_err(|error| EngineError::Refused(error.to_string()))
}

/// What is asked of the storage driver for one container. None of ours can keep a container's files
/// below a size: that takes quotas of projects, which the file system would have to be mounted with.
pub(super) fn storage(host: &HostConfig) -> Result<()> {
    match host.storage_opt.keys().next() {
        None => Ok(()),
        Some(key) if key.eq_ignore_ascii_case("size") => refuse(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        ),
        Some(key) => refuse(format!("Unknown option {key}")),
    }
}

pub(super) fn refuse<T>(words: impl Into<String>) -> Result<T> {
    Err(EngineError::Refused(words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says in what words a container is refused that is asked for so; none is for one that is not.
    #[track_caller]
    pub(super) fn refused(change: impl FnOnce(&mut ContainerConfig, &mut HostConfig), words: &str) {
        let (mut config, mut host) = (ContainerConfig::default(), HostConfig::default());
        change(&mut config, &mut host);
        let said = check(&config, &host).map_err(|error| error.to_string());
        match words {
            "" => assert_eq!(said, Ok(Vec::new())),
            words => assert!(said.as_ref().is_err_and(|said| said.contains(words)), "{said:?}"),
        }
    }

    #[test]
    fn nothing_is_asked_of_storage_in_vain() {
        let mut host = HostConfig::default();
        storage(&host).unwrap();
        host.storage_opt.insert("size".to_owned(), "1G".to_owned());
        assert!(storage(&host).unwrap_err().to_string().contains("pquota"));
        host.storage_opt = [("colour".to_owned(), "red".to_owned())].into();
        assert!(storage(&host).unwrap_err().to_string().contains("Unknown option colour"));
    }
}
