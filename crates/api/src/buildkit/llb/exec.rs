//! Commands: what they see, and which of it is a result.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::steps::{
    Circumstances, Command, Mount as StepMount, MountKind, Op as StepOp, Run, Scope, Sharing,
    StepId,
};
use spec::{ContainerConfig, Ulimit};

use super::{Given, MAX_INPUTS, MAX_RESULTS, Operation, Planner, Results};
use crate::buildkit::messages::ops::{
    Exec, HostAddress, Limit, Meta, Mount, MountType, Proxies, Secret,
};
use crate::wire::Status;

/// What steps call a mount's own files.
const MOUNTED: &str = "mount";
/// The permissions of an agent's socket when a client says nothing else.
const AGENT_MODE: u32 = 0o600;

impl Planner<'_> {
    pub(super) fn exec(&mut self, own: &Operation, exec: &Exec) -> Result<Results, Status> {
        let meta = exec.meta.clone().unwrap_or_default();
        check(exec)?;
        let is_root = |mount: &&Mount| mount.target == "/";
        let root = exec.mounts.iter().find(is_root);
        let root = root.ok_or_else(|| Status::invalid("a command without a root"))?;
        if root.read_only || !matches!(root.selector.as_str(), "" | "/") {
            let words = "commands whose root is read-only or a part of a tree are not run";
            return Err(Status::unsupported(words));
        }
        let below = self.input(own, root.input)?;
        let (mut mounts, mut sources, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for mount in exec.mounts.iter().filter(|mount| !is_root(mount)) {
            let made = self.mount(own, mount, &mut sources)?;
            if made.is_result {
                outputs.push(mount.output);
            }
            mounts.push(made);
        }
        mounts.extend(exec.secrets.iter().map(|secret| StepMount {
            kind: MountKind::Secret,
            id: Some(secret.id.clone()),
            env: Some(secret.name.clone()),
            required: !secret.optional,
            ..StepMount::default()
        }));
        let title = self.title(own, || meta.words.join(" "));
        let settings = ContainerConfig {
            env: meta.env.clone(),
            working_dir: if meta.folder.is_empty() { "/".to_owned() } else { meta.folder.clone() },
            user: meta.user.clone(),
            ..ContainerConfig::default()
        };
        let below =
            self.add(StepOp::Settings(Box::new(settings)), Some(below), Vec::new(), title.clone());
        let run = Run {
            command: Command::Exec(meta.words.clone()),
            heredocs: Vec::new(),
            mounts,
            network: match exec.network {
                1 => Some("host".to_owned()),
                2 => Some("none".to_owned()),
                _ => None,
            },
            insecure: exec.security == 1,
            devices: Vec::new(),
            circumstances: circumstances(&meta)?.map(Box::new),
        };
        let op = StepOp::Run { run, scope: Scope::default() };
        let step = self.add(op, Some(below), sources, title.clone());
        Ok(self.results(step, root.output, &outputs, &title))
    }

    /// The results of a command: its root, and mounts.
    fn results(&mut self, step: StepId, root: i64, outputs: &[i64], title: &str) -> Results {
        let mut results = HashMap::new();
        if root >= 0 {
            results.insert(root, Given::Step(step));
        }
        for (number, output) in outputs.iter().enumerate() {
            let written =
                self.add(StepOp::Written(number), Some(step), Vec::new(), title.to_owned());
            results.insert(*output, Given::Step(written));
        }
        results
    }

    fn mount(
        &mut self,
        own: &Operation,
        mount: &Mount,
        sources: &mut Vec<StepId>,
    ) -> Result<StepMount, Status> {
        if !mount.target.starts_with('/') {
            return Err(Status::invalid(format!("a mount at {:?}", mount.target)));
        }
        let mut made = StepMount {
            target: Some(mount.target.clone()),
            read_only: mount.read_only,
            ..StepMount::default()
        };
        match MountType::try_from(mount.kind) {
            Ok(MountType::Bind) => {
                sources.push(self.input(own, mount.input)?);
                made.from = Some(MOUNTED.to_owned());
                made.source = Some(mount.selector.clone()).filter(|path| !path.is_empty());
                made.is_result = !mount.read_only && (0..MAX_RESULTS).contains(&mount.output);
            }
            Ok(MountType::Cache) => {
                if mount.input >= 0 {
                    sources.push(self.input(own, mount.input)?);
                    made.from = Some(MOUNTED.to_owned());
                    made.source = Some(mount.selector.clone()).filter(|path| !path.is_empty());
                }
                let cache = mount.cache.clone().unwrap_or_default();
                made.kind = MountKind::Cache;
                made.id = Some(cache.id).filter(|id| !id.is_empty());
                made.sharing = match cache.sharing {
                    1 => Sharing::Private,
                    2 => Sharing::Locked,
                    _ => Sharing::Shared,
                };
            }
            Ok(MountType::Memory) => {
                made.kind = MountKind::Tmpfs;
                let bytes = mount.memory.map_or(0, |size| size.bytes);
                made.size_bytes = u64::try_from(bytes).ok().filter(|bytes| *bytes > 0);
            }
            Ok(MountType::Secret) => {
                let secret = mount.secret.clone().unwrap_or_default();
                made.kind = MountKind::Secret;
                made.mode = Some(secret.mode & 0o7777);
                (made.uid, made.gid) = (Some(secret.uid), Some(secret.gid));
                lent(&mut made, secret);
            }
            Ok(MountType::Agent) => {
                let agent = mount.agent.clone().unwrap_or_default();
                made.kind = MountKind::Ssh;
                if (agent.uid, agent.gid) != (0, 0) || !matches!(agent.mode, 0 | AGENT_MODE) {
                    // What that means is the engine's to say.
                    made.mode = Some(agent.mode);
                }
                lent(&mut made, agent);
            }
            Err(_) => return Err(Status::unsupported(format!("mounts of type {}", mount.kind))),
        }
        Ok(made)
    }
}

/// What a client lends: which one, and whether it must.
fn lent(made: &mut StepMount, lent: Secret) {
    made.id = Some(lent.id).filter(|id| !id.is_empty());
    made.required = !lent.optional;
}

/// What a command finds that is not as it is for all commands of the build.
fn circumstances(meta: &Meta) -> Result<Option<Circumstances>, Status> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let limit = |Limit { name, soft, hard }: &Limit| {
        let limit = format!("{name}={soft}:{hard}").parse::<Ulimit>();
        limit.map_err(|error| Status::invalid(error.to_string()))
    };
    let circumstances = Circumstances {
        hostname: given(&meta.hostname),
        hosts: meta.hosts.iter().map(host_line).collect::<Result<_, _>>()?,
        limits: meta.limits.iter().map(limit).collect::<Result<_, _>>()?,
        cgroup_parent: given(&meta.cgroup_parent),
        good_codes: meta.good_codes.iter().copied().map(i64::from).collect(),
        proxies: meta.proxies.iter().flat_map(variables).collect(),
    };
    Ok(Some(circumstances).filter(|own| *own != Circumstances::default()))
}

/// A host as `--add-host` has it.
pub(in crate::buildkit) fn host_line(host: &HostAddress) -> Result<String, Status> {
    let HostAddress { name, address } = host;
    let is_plain = !name.is_empty() && !name.contains([':', ' ', '\n']);
    let address = address.parse::<IpAddr>().ok().filter(|_| is_plain);
    let address = address.ok_or_else(|| Status::invalid(format!("a host {name:?}")))?;
    Ok(format!("{name}:{address}"))
}

/// Proxies as variables, which programs read in either spelling.
fn variables(proxies: &Proxies) -> Vec<(String, String)> {
    let Proxies { http, https, ftp, none, all } = proxies;
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
    let known = names.into_iter().zip([http, https, ftp, none, all]);
    let known = known.filter(|(_, value)| !value.is_empty());
    let both = |(name, value): (&str, &String)| {
        [name.to_owned(), name.to_lowercase()].map(|name| (name, value.clone()))
    };
    known.flat_map(both).collect()
}

/// Refuses what would not be done.
fn check(exec: &Exec) -> Result<(), Status> {
    if exec.mounts.len() > MAX_INPUTS {
        return Err(Status::invalid("a command with too many mounts"));
    }
    let refused = [
        (!exec.devices.is_empty(), "devices"),
        (!(0..=2).contains(&exec.network), "networks of an unknown kind"),
        (!(0..=1).contains(&exec.security), "security of an unknown kind"),
    ];
    match refused.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, what)) => Err(Status::unsupported(format!("commands with {what} are not run"))),
        None => Ok(()),
    }
}
