//! What a server gives containers and networks that say nothing themselves: docker's engine is told
//! so when it is started, and for as long as it runs.

use std::collections::BTreeMap;

use spec::{HostConfig, LogConfig, Ulimit};

/// What a container gets that says nothing itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerDefaults {
    /// The control group that its own is made below.
    pub cgroup_parent: String,
    /// Whose view of control groups it has.
    pub cgroupns_mode: String,
    /// How it shares memory and queues.
    pub ipc_mode: String,
    /// The network it stands in; empty for the default bridge.
    pub network_mode: String,
    /// Name servers.
    pub dns: Vec<String>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Domains that short names are looked up in.
    pub dns_search: Vec<String>,
    /// What `host-gateway` means.
    pub host_gateway: Option<String>,
    /// Whether an init reaps what its process leaves.
    pub init: bool,
    /// Where output is kept, and how.
    pub log: LogConfig,
    /// Whether its processes can gain no privileges.
    pub no_new_privileges: bool,
    /// The filter of system calls, as `--security-opt seccomp=` takes it; empty for our own.
    pub seccomp: String,
    /// The size of `/dev/shm`; 0 for docker's own.
    pub shm_size: i64,
    /// Limits of its processes.
    pub ulimits: Vec<Ulimit>,
}

/// What networks get that say nothing themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkDefaults {
    /// Where subnets come from; docker's own pools if none.
    pub pools: Vec<network::SubnetPool>,
    /// Options of new networks, by their driver.
    pub options: BTreeMap<String, BTreeMap<String, String>>,
    /// The default network, where anything is said about it.
    pub bridge: Option<DefaultBridge>,
    /// Networks on bridges are refused: nobody may change the packet filter.
    pub no_bridges: bool,
}

/// The default network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefaultBridge {
    /// The link's name, if it is to have a certain one.
    pub name: Option<String>,
    /// Its subnets; of the pools if none.
    pub pools: Vec<network::AddressPool>,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

impl ContainerDefaults {
    /// Says what a container's request does not say.
    pub(crate) fn complete(&self, host: &mut HostConfig) {
        let texts = [
            (&mut host.resources.cgroup_parent, &self.cgroup_parent),
            (&mut host.ipc_mode, &self.ipc_mode),
            (&mut host.network_mode, &self.network_mode),
        ];
        for (own, default) in texts {
            if own.is_empty() {
                own.clone_from(default);
            }
        }
        if host.cgroupns_mode.is_empty() && !host.privileged {
            host.cgroupns_mode.clone_from(&self.cgroupns_mode);
        }
        let lists = [
            (&mut host.dns, &self.dns),
            (&mut host.dns_options, &self.dns_options),
            (&mut host.dns_search, &self.dns_search),
        ];
        for (own, default) in lists {
            if own.as_ref().is_none_or(Vec::is_empty) && !default.is_empty() {
                *own = Some(default.clone());
            }
        }
        if host.init.is_none() && self.init {
            host.init = Some(true);
        }
        if host.shm_size == 0 {
            host.shm_size = self.shm_size;
        }
        self.log(&mut host.log_config);
        self.security(host);
        self.limits(host);
        if let Some(address) = &self.host_gateway {
            for line in host.extra_hosts.iter_mut().flatten() {
                *line = line.replace("host-gateway", address);
            }
        }
    }

    /// Options belong to their driver: another one gets none of them.
    fn log(&self, own: &mut LogConfig) {
        if own.kind.is_empty() {
            own.kind.clone_from(&self.log.kind);
        }
        let usual = |kind: &str| if kind.is_empty() { "json-file" } else { kind }.to_owned();
        if usual(&own.kind) == usual(&self.log.kind) {
            for (name, value) in &self.log.config {
                own.config.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    fn security(&self, host: &mut HostConfig) {
        let has = |name: &str| {
            let mut own = host.security_opt.iter().flatten();
            own.any(|option| option.starts_with(name))
        };
        let mut more = Vec::new();
        if self.no_new_privileges && !has("no-new-privileges") {
            more.push("no-new-privileges".to_owned());
        }
        if !self.seccomp.is_empty() && !host.privileged && !has("seccomp") {
            more.push(format!("seccomp={}", self.seccomp));
        }
        if !more.is_empty() {
            host.security_opt.get_or_insert_default().extend(more);
        }
    }

    fn limits(&self, host: &mut HostConfig) {
        let own = host.resources.ulimits.iter().flatten();
        let named: Vec<&str> = own.map(|limit| limit.name.as_str()).collect();
        let new = self.ulimits.iter().filter(|limit| !named.contains(&limit.name.as_str()));
        let more: Vec<Ulimit> = new.cloned().collect();
        if !more.is_empty() {
            host.resources.ulimits.get_or_insert_default().extend(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, soft: i64) -> Ulimit {
        Ulimit { name: name.to_owned(), soft, hard: soft }
    }

    #[test]
    fn what_a_container_says_goes_before_what_it_does_not() {
        let defaults = ContainerDefaults {
            cgroup_parent: "/all".to_owned(),
            dns: vec!["10.0.0.1".to_owned()],
            init: true,
            no_new_privileges: true,
            ulimits: vec![limit("nofile", 64), limit("core", 0)],
            log: LogConfig {
                kind: "local".to_owned(),
                config: [("max-size".to_owned(), "1m".to_owned())].into(),
            },
            ..ContainerDefaults::default()
        };
        let mut silent = HostConfig::default();
        defaults.complete(&mut silent);
        assert_eq!(silent.resources.cgroup_parent, "/all");
        assert_eq!(silent.dns.as_deref(), Some(&["10.0.0.1".to_owned()][..]));
        assert_eq!((silent.init, silent.log_config), (Some(true), defaults.log.clone()));
        assert_eq!(silent.security_opt.unwrap(), ["no-new-privileges"]);
        let mut wordy = HostConfig::default();
        wordy.resources.cgroup_parent = "/own".to_owned();
        wordy.resources.ulimits = Some(vec![limit("nofile", 9)]);
        wordy.init = Some(false);
        wordy.log_config.kind = "none".to_owned();
        wordy.security_opt = Some(vec!["no-new-privileges=false".to_owned()]);
        defaults.complete(&mut wordy);
        assert_eq!((wordy.resources.cgroup_parent.as_str(), wordy.init), ("/own", Some(false)));
        assert_eq!(wordy.resources.ulimits.unwrap(), [limit("nofile", 9), limit("core", 0)]);
        assert!(wordy.log_config.config.is_empty());
        assert_eq!(wordy.security_opt.unwrap().len(), 1);
    }
}
