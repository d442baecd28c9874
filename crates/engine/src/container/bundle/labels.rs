//! Profiles of AppArmor and labels of SELinux: what a container gets on a host whose kernel has them.

use std::fs;
use std::path::Path;

use spec::{ContainerId, HostConfig};

use super::option;
use crate::error::{EngineError, Result};

/// Where the kernel lists the profiles of AppArmor that are loaded; not there without AppArmor.
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";
/// There where SELinux is in force.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// What the system's policy gives containers, in the folder of the policy in use.
const CONTEXTS: &str = "contexts/lxc_contexts";
/// Which policy is in use.
const POLICY: &str = "/etc/selinux/config";
/// The profile of a container that asks for none, where somebody has loaded it.
const USUAL: &str = "docker-default";
/// No profile at all.
const UNCONFINED: &str = "unconfined";
/// So many categories there are.
const CATEGORIES: u16 = 1024;

/// What guards processes on this host besides the usual permissions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::container) struct Guards {
    /// AppArmor, and whether docker's usual profile is loaded.
    apparmor: Option<bool>,
    /// SELinux, and what its policy gives containers: a process's context and a file's.
    selinux: Option<(String, String)>,
}

/// What a container is labelled with; nothing where the host has no use for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::container) struct Labels {
    /// The profile of AppArmor.
    pub(in crate::container) profile: String,
    /// The label of its processes.
    pub(in crate::container) process: String,
    /// The label of its files.
    pub(in crate::container) mount: String,
}

impl Guards {
    /// What guards this host, as far as it matters to a container.
    pub(in crate::container) fn of_host(host: &HostConfig) -> Guards {
        let loaded = |text: String| text.lines().any(|line| line.split(' ').next() == Some(USUAL));
        let is_labelled = label_options(host).next().is_some();
        let selinux = (is_labelled && Path::new(SELINUX).exists()).then(contexts);
        Guards { apparmor: fs::read_to_string(PROFILES).ok().map(loaded), selinux }
    }
}

/// What the policy in use gives containers; the usual where it does not say.
fn contexts() -> (String, String) {
    let text = fs::read_to_string(POLICY).unwrap_or_default();
    let policy =
        text.lines().find_map(|line| line.strip_prefix("SELINUXTYPE=")).unwrap_or("targeted");
    let path = Path::new("/etc/selinux").join(policy.trim()).join(CONTEXTS);
    parse_contexts(&fs::read_to_string(path).unwrap_or_default())
}

fn parse_contexts(text: &str) -> (String, String) {
    let value = |name: &str, usual: &str| {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let found = pairs.map(|(key, value)| (key.trim(), value.trim().trim_matches('"')));
        found
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next_back()
            .unwrap_or(usual)
            .to_owned()
    };
    (
        value("process", "system_u:system_r:container_t:s0"),
        value("file", "system_u:object_r:container_file_t:s0"),
    )
}

/// The values of `label=…`.
fn label_options(host: &HostConfig) -> impl Iterator<Item = &str> {
    host.security_opt.iter().flatten().filter_map(|text| match text.split_once(['=', ':']) {
        Some(("label", value)) => Some(value),
        None if text == "disable" => Some(text.as_str()),
        _ => None,
    })
}

/// Refuses options that docker's engine does not know, in its words.
pub(super) fn check(host: &HostConfig) -> Result<()> {
    for text in host.security_opt.iter().flatten() {
        let refused =
            |number: u8| EngineError::Refused(format!("invalid --security-opt {number}: {text:?}"));
        if matches!(text.as_str(), "no-new-privileges" | "disable") {
            continue;
        }
        let (key, value) = text.split_once(['=', ':']).ok_or_else(|| refused(1))?;
        match key {
            "label" | "apparmor" | "seccomp" => {}
            "no-new-privileges" if is_boolean(value) => {}
            _ => return Err(refused(2)),
        }
    }
    Ok(())
}

fn is_boolean(text: &str) -> bool {
    matches!(
        text,
        "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE" | "False"
    )
}

/// What a container is labelled with. As with docker, what the host has no use for is passed over,
/// and labels of SELinux are given where they are asked for.
pub(in crate::container) fn plan(
    id: &ContainerId,
    host: &HostConfig,
    guards: &Guards,
) -> Result<Labels> {
    let profile = match (guards.apparmor, option(host, "apparmor")) {
        (None, _) => "",
        (Some(_), Some(asked)) if !asked.is_empty() => asked,
        (Some(_), _) if host.privileged => UNCONFINED,
        (Some(loaded), _) => {
            if loaded {
                USUAL
            } else {
                ""
            }
        }
    };
    let mut labels = Labels { profile: profile.to_owned(), ..Labels::default() };
    if let Some((process, file)) = &guards.selinux
        && !host.privileged
    {
        (labels.process, labels.mount) = contexts_for(id, host, process, file)?;
    }
    Ok(labels)
}

fn contexts_for(
    id: &ContainerId,
    host: &HostConfig,
    process: &str,
    file: &str,
) -> Result<(String, String)> {
    let (mut process, mut file) = (Context::parse(process), Context::parse(file));
    let level = format!("s0:{}", categories(id));
    (process.level, file.level) = (level.clone(), level);
    for text in label_options(host) {
        if text == "disable" {
            return Ok((String::new(), String::new()));
        }
        let bad = || {
            EngineError::Refused(format!(
                "Bad label option {text:?}, valid options 'disable' or \n'user, role, level, type, filetype' followed by ':' and a value"
            ))
        };
        let (key, value) = text.split_once(':').ok_or_else(bad)?;
        let value = || value.to_owned();
        match key {
            "user" => (process.user, file.user) = (value(), value()),
            "role" => process.role = value(),
            "type" => process.kind = value(),
            "filetype" => file.kind = value(),
            "level" => (process.level, file.level) = (value(), value()),
            _ => return Err(bad()),
        }
    }
    Ok((process.text(), file.text()))
}

/// `user:role:type:level`.
#[derive(Default)]
struct Context {
    user: String,
    role: String,
    kind: String,
    level: String,
}

impl Context {
    fn parse(text: &str) -> Context {
        let mut parts = text.splitn(4, ':').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Context { user: next(), role: next(), kind: next(), level: next() }
    }

    fn text(&self) -> String {
        let Context { user, role, kind, level } = self;
        format!("{user}:{role}:{kind}:{level}")
    }
}

/// Two categories that keep a container's files from others: drawn from its id, which is random.
fn categories(id: &ContainerId) -> String {
    let digits = id.to_string();
    let number = |from: usize| u16::from_str_radix(&digits[from..from + 4], 16).unwrap_or(0);
    let first = number(0) % CATEGORIES;
    // Another one than the first.
    let second = (first + 1 + number(4) % (CATEGORIES - 1)) % CATEGORIES;
    format!("c{},c{}", first.min(second), first.max(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(options: &[&str], privileged: bool) -> HostConfig {
        let options = options.iter().map(ToString::to_string).collect();
        HostConfig { security_opt: Some(options), privileged, ..HostConfig::default() }
    }

    fn id() -> ContainerId {
        "0401".repeat(16).parse().unwrap()
    }

    fn labels(options: &[&str], privileged: bool, guards: &Guards) -> Labels {
        plan(&id(), &asked(options, privileged), guards).unwrap()
    }

    #[test]
    fn a_host_without_either_passes_both_over() {
        let all = ["apparmor=nobody-has-it", "label=type:spc_t", "label=disable"];
        assert_eq!(labels(&all, false, &Guards::default()), Labels::default());
    }

    #[test]
    fn profiles_are_those_asked_for_or_the_usual_one() {
        let profile = |options: &[&str], privileged, loaded| {
            let guards = Guards { apparmor: Some(loaded), selinux: None };
            labels(options, privileged, &guards).profile
        };
        assert_eq!(profile(&["apparmor=mine"], false, true), "mine");
        assert_eq!(profile(&["apparmor=mine"], true, true), "mine");
        assert_eq!(profile(&["apparmor:unconfined"], false, true), "unconfined");
        assert_eq!(profile(&[], false, true), "docker-default");
        assert_eq!(profile(&[], false, false), "", "nobody has loaded it");
        assert_eq!(profile(&[], true, true), "unconfined");
    }

    #[test]
    fn labels_are_put_together_from_what_is_asked_for() {
        let guards = Guards { apparmor: None, selinux: Some(parse_contexts("")) };
        let found = labels(&["label=type:spc_t", "label=filetype:mine_t"], false, &guards);
        assert_eq!(found.process, "system_u:system_r:spc_t:s0:c1,c4");
        assert_eq!(found.mount, "system_u:object_r:mine_t:s0:c1,c4");
        let found = labels(&["label=level:s0:c9,c10", "label:user:me"], false, &guards);
        assert_eq!(found.process, "me:system_r:container_t:s0:c9,c10");
        assert_eq!(labels(&["label=type:x", "label=disable"], false, &guards), Labels::default());
        assert_eq!(labels(&["label=type:x"], true, &guards), Labels::default());
        let error = plan(&id(), &asked(&["label=shape:x"], false), &guards).unwrap_err();
        assert!(error.to_string().starts_with("Bad label option \"shape:x\", valid options"));
    }

    #[test]
    fn policies_say_what_containers_get() {
        let text = "process = \"u:r:t:s0\"\n# file = \"no\"\nfile = \"u:o:f:s0\"\n";
        assert_eq!(parse_contexts(text), ("u:r:t:s0".to_owned(), "u:o:f:s0".to_owned()));
    }

    #[test]
    fn options_that_nobody_knows_are_refused_in_dockers_words() {
        let said =
            |option: &str| check(&asked(&[option], false)).map_err(|error| error.to_string());
        for fine in ["no-new-privileges", "no-new-privileges=false", "label=disable", "apparmor=x"]
        {
            said(fine).unwrap();
        }
        assert_eq!(said("colour").unwrap_err(), "invalid --security-opt 1: \"colour\"");
        assert_eq!(said("colour=red").unwrap_err(), "invalid --security-opt 2: \"colour=red\"");
        let words = "invalid --security-opt 2: \"no-new-privileges=maybe\"";
        assert_eq!(said("no-new-privileges=maybe").unwrap_err(), words);
    }
}
