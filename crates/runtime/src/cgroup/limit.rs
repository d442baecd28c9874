//! Limits set, in whichever tree has the controller.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use spec::bundle::{DeviceRule, Resources};

use super::settings::BURST;
use super::{Cgroup, Layout, Missing, Setting, devices, failed, version1, version2, write};
use crate::error::{Result, RuntimeError};
use crate::plan::Warning;

impl Cgroup {
    /// Sets limits, at the start or later.
    pub fn apply(&self, resources: &Resources, missing: Missing) -> Result<Vec<Warning>> {
        let mut warnings = Vec::new();
        let memory = &resources.memory;
        if memory.kernel.is_some_and(|limit| limit > 0) {
            let limit = "the limit of kernel memory".to_owned();
            warnings.push(Warning::Controller { limit });
        }
        if let (Some(true), Some(limit)) = (memory.check_before_update, memory.limit)
            && u64::try_from(limit).is_ok_and(|limit| limit < self.stats().memory_bytes)
        {
            return Err(RuntimeError::invalid("more memory is in use than the new limit allows"));
        }
        let settings = self.settings(resources)?;
        if let Some(scope) = &self.scope {
            let is_unified = matches!(self.layout, Layout::Version2 { .. });
            scope.limit(&settings, &resources.devices, is_unified)?;
        }
        let (mut last, mut late) = (None, Vec::new());
        if self.layout.version1("devices").is_none() {
            warnings.extend(self.limit_devices(&resources.devices)?);
        }
        for setting in settings {
            let Some(folder) = self.folder_with(&setting.controller) else {
                match missing {
                    Missing::Warn => {
                        warnings.push(Warning::Controller { limit: setting.limit.to_owned() });
                    }
                    Missing::Fail => {
                        return Err(RuntimeError::NoController {
                            controller: setting.controller,
                            limit: setting.limit.to_owned(),
                        });
                    }
                }
                continue;
            };
            if setting.file == "pids.max"
                && let Some(scope) = &self.scope
                && scope.puts_off(&folder.join(&setting.file), &setting.value)
            {
                continue;
            }
            match self.set(&folder, &setting, &mut last) {
                // Where quota and burst grow, the quota goes first.
                Err(error) if is_above_quota(&setting, &error) => late.push((folder, setting)),
                other => other?,
            }
        }
        late.iter().try_for_each(|(folder, setting)| self.set(folder, setting, &mut last))?;
        Ok(warnings)
    }

    /// Version 2: rules of devices are a program. It takes the place of the one before.
    fn limit_devices(&self, rules: &[DeviceRule]) -> Result<Option<Warning>> {
        let Some(program) = devices::program(rules)? else { return Ok(None) };
        let limit = || "the rules of devices".to_owned();
        let Some(root) = self.layout.unified() else {
            // Nothing decides on devices here but who may make them.
            return Ok(Some(Warning::Controller { limit: limit() }));
        };
        let folder = root.join(&self.path);
        let replace = || -> io::Result<()> {
            let group = sys::fs::open_folder(&folder)?;
            let before = sys::bpf::attached(&group)?;
            sys::bpf::attach(&group, sys::bpf::load(&program)?)?;
            before.iter().try_for_each(|program| sys::bpf::detach(&group, program))
        };
        match replace() {
            // Users of a namespace of their own make no devices, and open none but those that the
            // host lets them.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM) && !sys::host::is_host_root() =>
            {
                Ok(Some(Warning::Controller { limit: limit() }))
            }
            other => other.map(|()| None).map_err(failed("limit devices of", &folder)),
        }
    }

    /// The folder of a controller, which is handed down now if it was not before.
    fn folder_with(&self, controller: &str) -> Option<PathBuf> {
        self.folder_of(controller).or_else(|| {
            self.delegate(self.layout.unified()?);
            self.folder_of(controller)
        })
    }

    fn settings(&self, resources: &Resources) -> Result<Vec<Setting>> {
        match &self.layout {
            Layout::Version2 { .. } | Layout::None => version2(resources),
            Layout::Version1 { unified, .. } => {
                let mut settings = version1(resources)?;
                // A group that is in one with these rules has them.
                if self.layout.version1("devices").is_none() || self.has_shared_rules() {
                    settings.retain(|setting| setting.controller != "devices");
                }
                let mut other =
                    Resources { unified: resources.unified.clone(), ..Resources::default() };
                // Huge pages may be in the other tree.
                if unified.is_some() && self.layout.version1("hugetlb").is_none() {
                    settings.retain(|setting| setting.controller != "hugetlb");
                    other.hugepage_limits.clone_from(&resources.hugepage_limits);
                }
                settings.extend(version2(&other)?);
                Ok(settings)
            }
        }
    }

    /// Writes one setting. Several that go to one file after another (the rules of devices) find it
    /// open.
    fn set(
        &self,
        folder: &Path,
        setting: &Setting,
        last: &mut Option<(PathBuf, fs::File)>,
    ) -> Result<()> {
        let path = folder.join(&setting.file);
        if last.as_ref().is_none_or(|(open, _)| *open != path) {
            *last = fs::OpenOptions::new().write(true).open(&path).ok().map(|file| (path, file));
        }
        let result = match last {
            Some((_, file)) => file.write_all(setting.value.as_bytes()),
            // Its error is the one to tell.
            None => write(folder, &setting.file, &setting.value),
        };
        let result = match (result, setting.file.as_str()) {
            // Memory alone may never be more than memory and swap: when both grow, the sum goes
            // first.
            (Err(error), "memory.limit_in_bytes") if error.raw_os_error() == Some(libc::EINVAL) => {
                write(folder, "memory.memsw.limit_in_bytes", &setting.value)
                    .and_then(|()| write(folder, &setting.file, &setting.value))
            }
            (other, _) => other,
        };
        match result {
            Err(error) if setting.optional && is_absent(&error) => Ok(()),
            other => {
                let step = format!("set {} ({} to {})", setting.limit, setting.file, setting.value);
                other.map_err(|source| RuntimeError::Cgroup { step, source })
            }
        }
    }
}

/// Whether a burst is refused, as one above the quota of the moment is.
fn is_above_quota(setting: &Setting, error: &RuntimeError) -> bool {
    let RuntimeError::Cgroup { source, .. } = error else { return false };
    BURST.contains(&setting.file.as_str()) && source.raw_os_error() == Some(libc::EINVAL)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}
