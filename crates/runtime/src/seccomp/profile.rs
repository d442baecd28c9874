//! Profiles as docker writes them: rules that hold with some powers, processors or kernels.

use serde::{Deserialize, Serialize};
use spec::bundle::{Seccomp, SeccompAction, SeccompArg, SeccompRule};

use super::arch::Arch;
use crate::error::{Result, RuntimeError};
use crate::plan::capability::{self, CapabilitySet};

/// A profile in docker's format.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// What happens to a call that no rule names.
    pub default_action: SeccompAction,
    /// The error that it then gives.
    pub default_errno_ret: Option<u32>,
    /// The processors that programs may be made for.
    #[serde(deserialize_with = "null_is_empty")]
    pub architectures: Vec<String>,
    /// The same by the host's processor.
    #[serde(deserialize_with = "null_is_empty")]
    pub arch_map: Vec<ArchMap>,
    /// `SECCOMP_FILTER_FLAG_LOG` and so on.
    #[serde(deserialize_with = "null_is_empty")]
    pub flags: Vec<String>,
    /// A socket that the descriptor for `NOTIFY` is sent to.
    pub listener_path: String,
    /// Sent along with it.
    pub listener_metadata: String,
    /// The rules.
    #[serde(deserialize_with = "null_is_empty")]
    pub syscalls: Vec<ProfileRule>,
}

/// A processor and the others whose programs it runs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArchMap {
    /// The processor.
    pub architecture: String,
    /// The others.
    #[serde(deserialize_with = "null_is_empty")]
    pub sub_architectures: Vec<String>,
}

/// One rule over some calls.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfileRule {
    /// One call, in old profiles.
    pub name: String,
    /// The calls.
    #[serde(deserialize_with = "null_is_empty")]
    pub names: Vec<String>,
    /// What happens to them.
    pub action: SeccompAction,
    /// The error that they then give.
    pub errno_ret: Option<u32>,
    /// Conditions on arguments; all must hold.
    #[serde(deserialize_with = "null_is_empty")]
    pub args: Vec<SeccompArg>,
    /// When the rule holds.
    pub includes: Condition,
    /// When it does not.
    pub excludes: Condition,
}

/// What a rule depends on; what is empty does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Capabilities: all of them to include, one of them to exclude.
    #[serde(deserialize_with = "null_is_empty")]
    pub caps: Vec<String>,
    /// One of these processors, by Go's names.
    #[serde(deserialize_with = "null_is_empty")]
    pub arches: Vec<String>,
    /// This kernel or a newer one.
    pub min_kernel: String,
}

fn null_is_empty<'de, D, T>(document: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(document)?.unwrap_or_default())
}

/// The actions that a profile names: one that is left out must not become another one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Said {
    #[serde(deserialize_with = "null_is_empty")]
    default_action: String,
    #[serde(deserialize_with = "null_is_empty")]
    syscalls: Vec<SaidRule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SaidRule {
    #[serde(deserialize_with = "null_is_empty")]
    action: String,
}

impl Said {
    fn is_nothing(&self) -> bool {
        self.default_action.is_empty() && self.syscalls.is_empty()
    }

    fn has_actions(&self) -> bool {
        let rules_have = self.syscalls.iter().all(|rule| !rule.action.is_empty());
        !self.default_action.is_empty() && rules_have
    }
}

/// What a profile is applied to.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The bounding set of the program's capabilities.
    pub capabilities: CapabilitySet,
    /// The host's kernel, major and minor.
    pub kernel: (u32, u32),
}

impl Profile {
    /// Docker's default.
    pub fn of_docker() -> Profile {
        super::default::profile()
    }

    /// A profile out of a JSON file's text; nothing if it says nothing, which is no filter.
    pub fn parse(text: &[u8]) -> Result<Option<Profile>> {
        let wrong = |error| RuntimeError::invalid(format!("seccomp profile: {error}"));
        let said: Said = serde_json::from_slice(text).map_err(wrong)?;
        if said.is_nothing() {
            return Ok(None);
        }
        if !said.has_actions() {
            // Other runtimes' words.
            let words = "seccomp profile: string  is not a valid action for seccomp";
            return Err(RuntimeError::invalid(words));
        }
        let profile: Profile = serde_json::from_slice(text).map_err(wrong)?;
        if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
            return Err(RuntimeError::invalid(
                "seccomp profile: 'architectures' and 'archMap' exclude each other",
            ));
        }
        Ok(Some(profile))
    }

    /// The rules that hold for a program on this host.
    pub fn resolve(&self, subject: Subject) -> Result<Seccomp> {
        let host = Arch::host();
        let mut rules = Vec::new();
        for rule in &self.syscalls {
            if !rule.holds(subject, host)? {
                continue;
            }
            if !rule.name.is_empty() && !rule.names.is_empty() {
                let what = "seccomp profile: 'name' and 'names' exclude each other";
                return Err(RuntimeError::invalid(what));
            }
            let old = Some(rule.name.clone()).filter(|name| !name.is_empty());
            rules.push(SeccompRule {
                names: rule.names.iter().cloned().chain(old).collect(),
                action: rule.action,
                errno_ret: rule.errno_ret,
                args: rule.args.clone(),
            });
        }
        let mut architectures = self.architectures.clone();
        let own = host.map(Arch::name);
        for map in self.arch_map.iter().filter(|map| Some(map.architecture.as_str()) == own) {
            architectures.push(map.architecture.clone());
            architectures.extend(map.sub_architectures.iter().cloned());
        }
        Ok(Seccomp {
            default_action: self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures,
            flags: self.flags.clone(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls: rules,
        })
    }
}

impl ProfileRule {
    fn holds(&self, subject: Subject, host: Option<Arch>) -> Result<bool> {
        let has = |name: &String| {
            capability::bit(name).is_some_and(|bit| subject.capabilities & bit != 0)
        };
        let here = |list: &[String]| {
            let go = host.map(Arch::go_name);
            list.iter().any(|arch| Some(arch.as_str()) == go)
        };
        let (yes, no) = (&self.includes, &self.excludes);
        Ok(yes.caps.iter().all(has)
            && (yes.arches.is_empty() || here(&yes.arches))
            && newer(&yes.min_kernel, subject.kernel)?.unwrap_or(true)
            && !no.caps.iter().any(has)
            && !here(&no.arches)
            && !newer(&no.min_kernel, subject.kernel)?.unwrap_or(false))
    }
}

/// Whether the kernel is this one or newer; nothing where no kernel is named.
fn newer(wanted: &str, kernel: (u32, u32)) -> Result<Option<bool>> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let wrong = || RuntimeError::invalid(format!("seccomp profile: {wanted} is no kernel"));
    let (major, minor) = wanted.split_once('.').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
    Ok(Some(kernel >= (number(major)?, number(minor)?)))
}

/// The processors that matter here, with those whose programs they run.
pub(super) fn usual_arch_map() -> Vec<ArchMap> {
    let map = |architecture: &str, others: &[&str]| ArchMap {
        architecture: architecture.to_owned(),
        sub_architectures: others.iter().map(|other| (*other).to_owned()).collect(),
    };
    vec![
        map("SCMP_ARCH_X86_64", &["SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        map("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM"]),
    ]
}
