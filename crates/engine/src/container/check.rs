//! What of a request makes no sense together: refused before anything is made, in docker's words.

use std::ops::RangeInclusive;

use spec::{ContainerConfig, Healthcheck, HostConfig, NetworkMode, Resources};

use crate::error::{EngineError, Result};

/// The shortest time that a health check may be told.
const LEAST_NANOS: i64 = 1_000_000;

/// Refuses what no container can be; returns what its user should know.
pub(super) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<String>> {
    let folder = &config.working_dir;
    if !folder.is_empty() && !folder.starts_with('/') {
        return Err(EngineError::Refused(format!(
            "the working directory '{folder}' is invalid, it needs to be an absolute path"
        )));
    }
    config.healthcheck.as_ref().map_or(Ok(()), health)?;
    host.tmpfs.values().try_for_each(|options| tmpfs(options))?;
    network(config, host)?;
    let lost = host.network_mode == "host" && !host.port_bindings.is_empty();
    let words = "Published ports are discarded when using host network mode";
    Ok(lost.then(|| words.to_owned()).into_iter().collect())
}

fn health(check: &Healthcheck) -> Result<()> {
    let times = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    if let Some((name, _)) = times.iter().find(|(_, time)| *time != 0 && *time < LEAST_NANOS) {
        return refuse(format!("{name} in Healthcheck cannot be less than 1ms"));
    }
    match check.retries < 0 {
        true => refuse("Retries in Healthcheck cannot be negative"),
        false => Ok(()),
    }
}

/// Options of a folder in memory: those of any mount, and those that have a value.
fn tmpfs(options: &str) -> Result<()> {
    const FLAGS: &str = "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount \
        mand nomand atime noatime diratime nodiratime bind rbind private rprivate shared rshared \
        slave rslave unbindable runbindable relatime norelatime strictatime nostrictatime";
    const VALUES: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
    let known = |option: &&str| match option.split_once('=') {
        Some((key, _)) => VALUES.contains(&key),
        None => FLAGS.split(' ').any(|flag| flag == *option),
    };
    match options.split(',').find(|option| !option.is_empty() && !known(option)) {
        Some(option) => {
            let parts: Vec<_> = option.splitn(2, '=').map(|part| format!("{part:?}")).collect();
            refuse(format!("invalid tmpfs option [{}]", parts.join(" ")))
        }
        None => Ok(()),
    }
}

/// What cannot be told of a container that has somebody else's names or network.
fn network(config: &ContainerConfig, host: &HostConfig) -> Result<()> {
    let named = !config.hostname.is_empty();
    if host.network_mode == "container:" {
        return refuse("invalid network mode: invalid container format container:<name|id>");
    }
    if host.uts_mode == "host" && named {
        return refuse("conflicting options: hostname and the UTS mode");
    }
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let mode = NetworkMode::parse(&host.network_mode);
    if !matches!(mode, NetworkMode::Container(_)) {
        return Ok(());
    }
    let published = !host.port_bindings.is_empty() || host.publish_all_ports;
    let told = [
        (named, "hostname and the network mode"),
        (some(&host.dns), "dns and the network mode"),
        (some(&host.extra_hosts), "custom host-to-IP mapping and the network mode"),
        (!config.mac_address.is_empty(), "mac-address and the network mode"),
        (published, "port publishing and the container type network mode"),
        (!config.exposed_ports.is_empty(), "port exposing and the container type network mode"),
    ];
    match told.iter().find(|(told, _)| *told) {
        Some((_, words)) => refuse(format!("conflicting options: {words}")),
        None => Ok(()),
    }
}

/// Refuses processors and memory nodes that this machine has not, as far as it tells.
pub(super) fn sets(resources: &Resources) -> Result<()> {
    let (cpus, mems) = (&resources.cpuset_cpus, &resources.cpuset_mems);
    let there = |what| std::fs::read_to_string(format!("/sys/devices/system/{what}/online"));
    if !cpus.is_empty() {
        within(cpus, there("cpu").ok(), "CPUs", "cpus")?;
    }
    if !mems.is_empty() {
        within(mems, there("node").ok(), "memory nodes", "mems")?;
    }
    Ok(())
}

fn within(asked: &str, there: Option<String>, what: &str, key: &str) -> Result<()> {
    let Some(wanted) = ranges(asked) else {
        return refuse(format!("Invalid value {asked} for cpuset {key}"));
    };
    let Some(there) = there else { return Ok(()) };
    let there = there.trim();
    let online = ranges(there).unwrap_or_default();
    let is_there = |wanted: &RangeInclusive<u32>| {
        online.iter().any(|one| one.contains(wanted.start()) && one.contains(wanted.end()))
    };
    match wanted.iter().all(is_there) {
        true => Ok(()),
        false => refuse(format!(
            "Requested {what} are not available - requested {asked}, available: {there}"
        )),
    }
}

/// The kernel's list of numbers: `0-2,7`.
fn ranges(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let one = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(first..=last)
    };
    text.split(',').map(one).collect()
}

fn refuse<T>(words: impl Into<String>) -> Result<T> {
    Err(EngineError::Refused(words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl Fn(&mut ContainerConfig, &mut HostConfig), words: &str) {
        let (mut config, mut host) = (ContainerConfig::default(), HostConfig::default());
        change(&mut config, &mut host);
        let said = check(&config, &host).map_err(|error| error.to_string());
        match words {
            "" => assert_eq!(said, Ok(Vec::new())),
            words => assert!(said.as_ref().is_err_and(|said| said.contains(words)), "{said:?}"),
        }
    }

    #[test]
    fn folders_and_health_checks_are_looked_at() {
        refused(|_, _| {}, "");
        refused(|config, _| config.working_dir = "/srv".to_owned(), "");
        refused(|config, _| config.working_dir = "srv".to_owned(), "directory 'srv' is invalid");
        let memory = |options: &str| {
            let options = options.to_owned();
            move |_: &mut ContainerConfig, host: &mut HostConfig| {
                host.tmpfs.insert("/t".to_owned(), options.clone());
            }
        };
        refused(memory(""), "");
        refused(memory("size=5m,exec,mode=1777,noatime"), "");
        refused(memory("ro,what"), "invalid tmpfs option [\"what\"]");
        refused(memory("sise=5m"), "invalid tmpfs option [\"sise\" \"5m\"]");
        let health =
            |interval, retries| Some(Healthcheck { interval, retries, ..Healthcheck::default() });
        refused(|config, _| config.healthcheck = health(LEAST_NANOS, 1), "");
        refused(|config, _| config.healthcheck = health(1, 1), "Interval in Healthcheck cannot");
        refused(|config, _| config.healthcheck = health(0, -1), "Retries in Healthcheck cannot");
    }

    #[test]
    fn who_shares_a_network_is_told_nothing_of_his_own() {
        let joined = |change: fn(&mut ContainerConfig, &mut HostConfig)| {
            move |config: &mut ContainerConfig, host: &mut HostConfig| {
                host.network_mode = "container:web".to_owned();
                change(config, host);
            }
        };
        refused(joined(|_, _| {}), "");
        refused(joined(|_, host| host.dns = Some(Vec::new())), "");
        refused(joined(|config, _| config.hostname = "a".to_owned()), "hostname and the network");
        refused(joined(|_, host| host.dns = Some(vec![String::new()])), "dns and the network");
        refused(joined(|_, host| host.extra_hosts = Some(vec![String::new()])), "host-to-IP");
        refused(joined(|config, _| config.mac_address = "m".to_owned()), "mac-address and");
        refused(joined(|_, host| host.publish_all_ports = true), "port publishing and");
        let expose = |config: &mut ContainerConfig, _: &mut HostConfig| {
            config.exposed_ports.insert("80/tcp".to_owned());
        };
        refused(joined(expose), "port exposing and");
        refused(|_, host| host.network_mode = "container:".to_owned(), "<name|id>");
        let named_on_host = |config: &mut ContainerConfig, host: &mut HostConfig| {
            config.hostname = "a".to_owned();
            host.uts_mode = "host".to_owned();
        };
        refused(named_on_host, "hostname and the UTS mode");
    }

    #[test]
    fn processors_that_are_not_there_are_named() {
        let there = || Some("0-3,8\n".to_owned());
        let said = |asked| within(asked, there(), "CPUs", "cpus").map_err(|e| e.to_string());
        assert_eq!(said("1-3,8"), Ok(()));
        let words = "Requested CPUs are not available - requested 3-8, available: 0-3,8";
        assert_eq!(said("3-8"), Err(words.to_owned()));
        assert_eq!(said("two"), Err("Invalid value two for cpuset cpus".to_owned()));
        assert!(within("3-1", None, "CPUs", "cpus").is_err());
        assert!(within("77", None, "CPUs", "cpus").is_ok());
    }
}
