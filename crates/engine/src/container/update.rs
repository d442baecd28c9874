//! What a container may use, and when it is started again, changed after it was made.

use runtime::attach::Request;
use runtime::cgroup::{Cgroup, Layout, Missing};
use runtime::state::Status;
use spec::{ContainerId, HostConfig, Resources, RestartName, RestartPolicy};

use super::{bundle, check, host};
use crate::error::{EngineError, Result};
use crate::{ContainerRecord, Engine};

/// What `update` is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateContainer {
    /// New limits. What is 0, empty or absent stays as it is.
    pub resources: Resources,
    /// When it is started again from now on.
    pub restart: Option<RestartPolicy>,
}

impl Engine {
    /// Changes a container, at once if it runs; returns what its user should know.
    pub fn update_container(
        &self,
        id: &ContainerId,
        request: &UpdateContainer,
    ) -> Result<Vec<String>> {
        let failed = |error: EngineError| match error {
            EngineError::NoSuchContainer(_) => error,
            error => EngineError::Update { id: *id, kind: error.kind(), why: why(&error) },
        };
        self.change_limits(id, request).map_err(failed)
    }

    fn change_limits(&self, id: &ContainerId, request: &UpdateContainer) -> Result<Vec<String>> {
        let state = self.container_state(id)?;
        if matches!(state.status, Status::Removing | Status::Dead) {
            let words = "container is marked for removal and cannot be \"update\"";
            return check::refuse(words);
        }
        let runs = matches!(state.status, Status::Running | Status::Paused);
        // A user's own systemd gives limits that the user could not set.
        let by_systemd = self.containers().read(id)?.by_systemd;
        let (request, mut warnings) = match self.settings().standing.is_of_user() && !by_systemd {
            true => without_groups(request)?,
            false => (request.clone(), Vec::new()),
        };
        let record = self.containers().change(id, |record| {
            let changed = merge(&mut record.host_config, &request)?;
            // What the kernel refuses is not written down.
            if runs && changed != Resources::default() {
                warnings.extend(self.limit(record, &changed)?);
            }
            Ok(())
        })?;
        if request.restart.is_some() && state.status.is_alive() {
            let restart = record.host_config.restart_policy.clone();
            match self.ask_monitor(id, &Request::Update { restart }) {
                // It has ended meanwhile, and the next monitor reads the record.
                Ok(_) | Err(EngineError::NotRunning(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.container_event("update", &record, &[]);
        Ok(warnings)
    }
}

impl Engine {
    /// Sets limits of a container that runs.
    fn limit(&self, record: &ContainerRecord, changed: &Resources) -> Result<Vec<String>> {
        let host = HostConfig { resources: changed.clone(), ..HostConfig::default() };
        let limits = bundle::limits(&host)?;
        let run_folder = self.container_run_folder(&record.id);
        if let Some(runtime) = super::watch::outside::of(record, &run_folder) {
            runtime.update(&limits)?;
            return Ok(Vec::new());
        }
        let cgroup = Cgroup::at(Layout::of_host()?, &bundle::cgroup_path(record))?;
        let warnings =
            cgroup.apply(&limits, Missing::Warn).map_err(|error| kernels_refusal(error.into()))?;
        Ok(warnings.iter().map(ToString::to_string).collect())
    }
}

/// What is left of a request where there are no groups, and what is to be said of the rest.
fn without_groups(request: &UpdateContainer) -> Result<(UpdateContainer, Vec<String>)> {
    check::update(&request.resources)?;
    let mut asked = HostConfig { resources: request.resources.clone(), ..HostConfig::default() };
    let warnings = host::without_groups(&mut asked);
    let left = UpdateContainer { resources: asked.resources, restart: request.restart.clone() };
    Ok((left, warnings))
}

/// What the kernel does not take is the request's fault.
fn kernels_refusal(error: EngineError) -> EngineError {
    let mut causes =
        std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let is_refusal = causes.any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidInput)
    });
    match is_refusal {
        true => EngineError::Refused(why(&error)),
        false => error,
    }
}

/// An error and its causes in one line.
fn why(error: &EngineError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| match text.ends_with(&cause.to_string()) {
        true => text,
        false => format!("{text}: {cause}"),
    })
}

/// Puts what is asked for into a configuration, and returns what the kernel is to be told: memory
/// and processors each in full if anything of them changes, since it takes them together.
fn merge(host: &mut HostConfig, request: &UpdateContainer) -> Result<Resources> {
    let asked = &request.resources;
    if let Some(policy) = &request.restart {
        if host.auto_remove && policy.name != RestartName::No {
            return check::refuse(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            );
        }
        check::restart_count(policy)?;
        host.restart_policy = policy.clone();
    }
    check::update(asked)?;
    check_conflicts(&host.resources, asked)?;
    let own = &mut host.resources;
    let processors = set_processors(own, asked);
    let memory = [
        set(&mut own.memory, asked.memory),
        set(&mut own.memory_swap, asked.memory_swap),
        set(&mut own.memory_reservation, asked.memory_reservation),
    ];
    let mut changed = Resources::default();
    if processors {
        changed = Resources {
            cpu_shares: own.cpu_shares,
            nano_cpus: own.nano_cpus,
            cpu_period: own.cpu_period,
            cpu_quota: own.cpu_quota,
            cpu_realtime_period: own.cpu_realtime_period,
            cpu_realtime_runtime: own.cpu_realtime_runtime,
            cpuset_cpus: own.cpuset_cpus.clone(),
            cpuset_mems: own.cpuset_mems.clone(),
            ..changed
        };
    }
    if memory.contains(&true) {
        changed.memory = own.memory;
        changed.memory_swap = own.memory_swap;
        changed.memory_reservation = own.memory_reservation;
    }
    if asked.blkio_weight != 0 {
        own.blkio_weight = asked.blkio_weight;
        changed.blkio_weight = asked.blkio_weight;
    }
    if let Some(limit) = asked.pids_limit {
        // Nothing, or less than that, is for as many as they like.
        let limit = if limit <= 0 { -1 } else { limit };
        own.pids_limit = Some(limit);
        changed.pids_limit = Some(limit);
    }
    Ok(changed)
}

fn set_processors(own: &mut Resources, asked: &Resources) -> bool {
    let numbers = [
        set(&mut own.cpu_shares, asked.cpu_shares),
        set(&mut own.nano_cpus, asked.nano_cpus),
        set(&mut own.cpu_period, asked.cpu_period),
        set(&mut own.cpu_quota, asked.cpu_quota),
        set(&mut own.cpu_realtime_period, asked.cpu_realtime_period),
        set(&mut own.cpu_realtime_runtime, asked.cpu_realtime_runtime),
    ];
    let texts =
        [(&mut own.cpuset_cpus, &asked.cpuset_cpus), (&mut own.cpuset_mems, &asked.cpuset_mems)];
    let mut chosen = false;
    for (own, asked) in texts.into_iter().filter(|(_, asked)| !asked.is_empty()) {
        own.clone_from(asked);
        chosen = true;
    }
    chosen || numbers.contains(&true)
}

/// Takes a number that was given, and says whether one was.
fn set(own: &mut i64, asked: i64) -> bool {
    if asked != 0 {
        *own = asked;
    }
    asked != 0
}

/// What was asked for before stands against some of what is asked for now.
fn check_conflicts(own: &Resources, asked: &Resources) -> Result<()> {
    let pairs = [
        (asked.nano_cpus, own.cpu_period, "Nano CPUs", "CPU Period"),
        (asked.nano_cpus, own.cpu_quota, "Nano CPUs", "CPU Quota"),
        (asked.cpu_period, own.nano_cpus, "CPU Period", "NanoCPUs"),
        (asked.cpu_quota, own.nano_cpus, "CPU Quota", "NanoCPUs"),
    ];
    if let Some((_, _, new, old)) = pairs.iter().find(|(new, old, ..)| *new != 0 && *old != 0) {
        return Err(EngineError::Conflicting(format!(
            "Conflicting options: {new} cannot be updated as {old} has already been set"
        )));
    }
    // No limit of both is 0 or less, so that the first limit must say it too.
    if asked.memory != 0 && asked.memory > own.memory_swap && asked.memory_swap == 0 {
        let words = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
        return Err(EngineError::Conflicting(words.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;

    fn limited() -> HostConfig {
        let mut host = HostConfig::default();
        host.resources.memory = 64 * MIB;
        host.resources.memory_swap = 128 * MIB;
        host.resources.cpu_quota = 50_000;
        host
    }

    fn asked(change: impl Fn(&mut Resources)) -> UpdateContainer {
        let mut request = UpdateContainer::default();
        change(&mut request.resources);
        request
    }

    #[test]
    fn only_what_is_asked_for_changes() {
        let mut host = limited();
        let changed = merge(&mut host, &asked(|r| r.pids_limit = Some(7))).unwrap();
        assert_eq!(changed, Resources { pids_limit: Some(7), ..Resources::default() });
        assert_eq!(host.resources.memory, 64 * MIB);
        // The kernel is told of processors in full.
        let changed = merge(&mut host, &asked(|r| r.cpu_period = 20_000)).unwrap();
        assert_eq!((changed.cpu_quota, changed.cpu_period, changed.memory), (50_000, 20_000, 0));
    }

    #[track_caller]
    fn refuses(request: UpdateContainer, words: &str) {
        let said = merge(&mut limited(), &request).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }

    #[test]
    fn what_stands_against_it_is_told_in_dockers_words() {
        refuses(asked(|r| r.memory = 256 * MIB), "smaller than already set memoryswap");
        refuses(asked(|r| r.nano_cpus = 500_000_000), "Nano CPUs cannot be updated as CPU Quota");
        refuses(asked(|r| r.memory = MIB), "Minimum memory limit allowed is 6MB");
        let first = asked(|r| r.memory = 64 * MIB);
        let refused = merge(&mut HostConfig::default(), &first).unwrap_err();
        assert!(refused.to_string().contains("update the memoryswap at the same time"));
        let mut host = limited();
        host.auto_remove = true;
        let policy = "always".parse().unwrap();
        let request = UpdateContainer { restart: Some(policy), ..UpdateContainer::default() };
        assert!(merge(&mut host, &request).is_err_and(|e| e.to_string().contains("AutoRemove")));
    }

    #[test]
    fn a_limit_that_takes_groups_is_not_written_down_where_there_are_none() {
        let (left, said) = without_groups(&asked(|r| r.memory = 64 * MIB)).unwrap();
        assert!(said.len() == 1 && said[0].contains("memory limit"), "{said:?}");
        let mut host = HostConfig::default();
        assert_eq!(merge(&mut host, &left).unwrap(), Resources::default());
        assert_eq!(host.resources.memory, 0);
        assert!(without_groups(&asked(|r| r.memory = MIB)).is_err(), "it is no limit at all");
    }

    #[test]
    fn memory_grows_together_with_swap_and_without_a_swap_limit() {
        let both = asked(|r| (r.memory, r.memory_swap) = (256 * MIB, 256 * MIB));
        assert!(merge(&mut limited(), &both).is_ok());
        assert!(merge(&mut limited(), &asked(|r| r.memory_swap = -1)).is_ok());
    }
}
