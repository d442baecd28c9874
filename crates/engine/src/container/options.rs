//! What single options of a container may say, refused in docker's words when they say something else:
//! the command line says much of this sooner, but whoever comes by another door hears it here.

use network::ExtraHost;
use spec::{ContainerConfig, HostConfig, IpcMode, NamespaceMode, RestartName, parse_signal};

use super::network::published;
use crate::error::{EngineError, Result};

/// Refuses what no container can be told.
pub(super) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<()> {
    process(config)?;
    restart(host)?;
    place(host)?;
    mounts(host)?;
    for line in host.extra_hosts.iter().flatten() {
        ExtraHost::parse(line)?;
    }
    published(host).map(drop)
}

fn process(config: &ContainerConfig) -> Result<()> {
    let signal = &config.stop_signal;
    if !signal.is_empty() && parse_signal(signal).is_none() {
        return refuse(format!("invalid signal: {signal}"));
    }
    match config.env.iter().find(|line| line.is_empty() || line.starts_with('=')) {
        Some(line) => refuse(format!("invalid environment variable: {line}")),
        None => Ok(()),
    }
}

fn restart(host: &HostConfig) -> Result<()> {
    let policy = &host.restart_policy;
    if policy.name != RestartName::OnFailure && policy.maximum_retry_count != 0 {
        let why = "maximum retry count can only be used with 'on-failure'";
        return refuse(format!("invalid restart policy: {why}"));
    }
    match host.auto_remove && policy.name != RestartName::No {
        true => refuse("can't create 'AutoRemove' container with restart policy"),
        false => Ok(()),
    }
}

fn place(host: &HostConfig) -> Result<()> {
    let HostConfig { cgroupns_mode, isolation, oom_score_adj: score, .. } = host;
    let own = |mode: &str| matches!(mode, "" | "private" | "host");
    let modes = [
        (NamespaceMode::parse(&host.pid_mode).is_some(), "PID", &host.pid_mode),
        (own(&host.uts_mode), "UTS", &host.uts_mode),
        (IpcMode::parse(&host.ipc_mode).is_some(), "IPC", &host.ipc_mode),
        (own(cgroupns_mode), "cgroup namespace", cgroupns_mode),
    ];
    if let Some((_, kind, mode)) = modes.into_iter().find(|(known, ..)| !known) {
        return refuse(format!("invalid {kind} mode: {mode}"));
    }
    if !(isolation.is_empty() || isolation.eq_ignore_ascii_case("default")) {
        return refuse(format!("Invalid isolation: {isolation:?} - linux only supports 'default'"));
    }
    match (-1000..=1000).contains(score) {
        true => Ok(()),
        false => refuse(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")),
    }
}

fn mounts(host: &HostConfig) -> Result<()> {
    if let Some(target) = host.tmpfs.keys().find(|target| !target.starts_with('/')) {
        return refuse(format!("invalid mount path: '{target}' mount path must be absolute"));
    }
    match host.mounts.iter().find(|mount| mount.target.is_empty()) {
        Some(mount) => refuse(format!(
            "invalid mount config for type \"{}\": field Target must not be empty",
            mount.kind.as_str()
        )),
        None => Ok(()),
    }
}

fn refuse(words: impl Into<String>) -> Result<()> {
    Err(EngineError::Refused(words.into()))
}

#[cfg(test)]
mod tests {
    use spec::{Mount, MountKind, PortBinding};

    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut ContainerConfig, &mut HostConfig), words: &str) {
        let (mut config, mut host) = (ContainerConfig::default(), HostConfig::default());
        change(&mut config, &mut host);
        let said = check(&config, &host).map_err(|error| error.to_string());
        assert!(said.as_ref().is_err_and(|said| said.contains(words)), "{said:?}");
    }

    #[test]
    fn what_no_container_can_be_told_is_refused_in_dockers_words() {
        check(&ContainerConfig::default(), &HostConfig::default()).unwrap();
        refused(|c, _| c.stop_signal = "NONE".to_owned(), "invalid signal: NONE");
        refused(|c, _| c.env = vec!["A=b".to_owned(), "=x".to_owned()], "variable: =x");
        refused(|_, h| h.restart_policy.maximum_retry_count = 3, "only be used with 'on-failure'");
        let both = |_: &mut ContainerConfig, host: &mut HostConfig| {
            host.auto_remove = true;
            host.restart_policy.name = RestartName::Always;
        };
        refused(both, "can't create 'AutoRemove' container with restart policy");
        refused(|_, h| h.ipc_mode = "x".to_owned(), "invalid IPC mode: x");
        refused(|_, h| h.pid_mode = "x".to_owned(), "invalid PID mode: x");
        refused(|_, h| h.uts_mode = "x".to_owned(), "invalid UTS mode: x");
        refused(|_, h| h.cgroupns_mode = "x".to_owned(), "invalid cgroup namespace mode: x");
        refused(|_, h| h.isolation = "hyperv".to_owned(), "linux only supports 'default'");
        refused(|_, h| h.oom_score_adj = 1001, "range for oom score adj is [-1000, 1000]");
        refused(|_, h| h.tmpfs = [("x".to_owned(), String::new())].into(), "must be absolute");
        let nowhere = Mount { kind: MountKind::Tmpfs, ..Mount::default() };
        refused(|_, h| h.mounts = vec![nowhere], "type \"tmpfs\": field Target must not be empty");
        refused(|_, h| h.extra_hosts = Some(vec!["x".to_owned()]), "bad format for add-host");
        for (port, host_port, words) in [
            ("99999/tcp", "", "invalid containerPort: 99999"),
            ("80/tcp", "x", "invalid hostPort: x"),
        ] {
            let binding = PortBinding { host_port: host_port.to_owned(), ..PortBinding::default() };
            let ports = [(port.to_owned(), Some(vec![binding]))].into();
            refused(|_, h| h.port_bindings = ports, words);
        }
    }
}
