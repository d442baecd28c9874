//! Devices by name, in the manner of the container device interface: what a vendor describes in a
//! file on the host, and what of it a container gets.

mod build;
mod description;

use std::fs;
use std::path::{Path, PathBuf};

use spec::DeviceRequest;
use spec::bundle::{Hook, Mount};

use self::description::{Bound, Called, Described, Description, Edits, Node};
use super::devices::{Found, Given};
use crate::error::{EngineError, Result};
pub(crate) use build::Registered;

/// Where descriptions lie; those of a later folder count before those of an earlier one.
const FOLDERS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];
/// What a device is given as where nobody says otherwise.
const MODE: u32 = 0o666;
/// Annotations that begin so name devices too.
const ANNOTATION: &str = "cdi.k8s.io/";
/// Kinds that `--gpus` means.
const GPUS: [&str; 2] = ["nvidia.com/gpu", "amd.com/gpu"];

/// All descriptions of this host.
#[derive(Debug, Default)]
struct Catalogue {
    /// Each with the place of its folder.
    all: Vec<(usize, PathBuf, Description)>,
    /// What could not be read, and why: told when something is not found.
    troubles: Vec<String>,
}

/// Adds what a container asks for by name.
pub(super) fn add_named<'a>(
    given: &mut Given,
    requests: impl Iterator<Item = &'a DeviceRequest>,
    annotations: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<()> {
    let requests: Vec<&DeviceRequest> = requests.collect();
    let annotated = annotations.filter(|(key, _)| key.starts_with(ANNOTATION));
    let mut names: Vec<String> =
        annotated.flat_map(|(_, value)| value.split(',').map(str::to_owned)).collect();
    if requests.is_empty() && names.is_empty() {
        return Ok(());
    }
    let catalogue = Catalogue::read(&FOLDERS.map(Path::new));
    for request in requests {
        names.extend(catalogue.names(request)?);
    }
    catalogue.give(&names, given)
}

impl Catalogue {
    /// Reads what lies in these folders. One file that is wrong does not spoil the others.
    fn read(folders: &[&Path]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (place, folder) in folders.iter().enumerate() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                catalogue.add(place, path);
            }
        }
        catalogue
    }

    fn add(&mut self, place: usize, path: PathBuf) {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !["json", "yaml", "yml"].contains(&ending) {
            return;
        }
        let text = fs::read_to_string(&path).map_err(|error| error.to_string());
        match text.and_then(|text| Description::read(&text, ending == "json")) {
            Ok(description) => self.all.push((place, path, description)),
            Err(why) => self.troubles.push(format!("{}: {why}", path.display())),
        }
    }

    /// The names that a request comes down to.
    fn names(&self, request: &DeviceRequest) -> Result<Vec<String>> {
        let ids = request.device_ids.as_deref().unwrap_or_default();
        if request.driver == "cdi" {
            return Ok(ids.to_vec());
        }
        let asked = request.capabilities.as_deref().unwrap_or_default();
        let gpus = asked.iter().any(|list| list.iter().any(|one| one == "gpu"));
        let known = GPUS.iter().find(|kind| self.all.iter().any(|(_, _, it)| it.kind == **kind));
        let served = matches!(request.driver.as_str(), "" | "nvidia");
        match known.filter(|_| gpus && served) {
            Some(kind) if !ids.is_empty() => {
                Ok(ids.iter().map(|id| format!("{kind}={id}")).collect())
            }
            Some(kind) if request.count < 0 => Ok(vec![format!("{kind}=all")]),
            Some(kind) => {
                // One more than there are is as good as any number to find that it is not there.
                let of_kind = self.all.iter().filter(|(_, _, it)| it.kind == **kind);
                let there: usize = of_kind.map(|(_, _, it)| it.devices.len()).sum();
                let asked = usize::try_from(request.count).unwrap_or_default();
                Ok((0..asked.min(there + 1)).map(|number| format!("{kind}={number}")).collect())
            }
            None => {
                let lists: Vec<_> =
                    asked.iter().map(|list| format!("[{}]", list.join(" "))).collect();
                let words = format!(
                    "could not select device driver {:?} with capabilities: [{}]",
                    request.driver,
                    lists.join(" ")
                );
                Err(EngineError::Start(self.with_troubles(words)))
            }
        }
    }

    /// What is not found may be in a file that could not be read.
    fn with_troubles(&self, words: String) -> String {
        [&[words], self.troubles.as_slice()].concat().join("; ")
    }

    /// Gives what these names stand for; what holds for a whole file once.
    fn give(&self, names: &[String], given: &mut Given) -> Result<()> {
        let missing: Vec<&str> =
            names.iter().filter(|name| self.find(name).is_none()).map(String::as_str).collect();
        if !missing.is_empty() {
            let words = format!("unresolvable CDI devices {}", missing.join(", "));
            return Err(failed(&self.with_troubles(words)));
        }
        let mut seen: Vec<&Path> = Vec::new();
        for (path, description, device) in names.iter().filter_map(|name| self.find(name)) {
            if !seen.contains(&path) {
                seen.push(path);
                description.container_edits.give(given)?;
            }
            device.container_edits.give(given)?;
        }
        Ok(())
    }

    /// The one device of this name; of several, that in the folder that counts before the others.
    fn find(&self, name: &str) -> Option<(&Path, &Description, &Described)> {
        let (kind, name) = name.split_once('=')?;
        let of_kind = self.all.iter().filter(|(_, _, it)| it.kind == kind);
        let mut found: Vec<_> = of_kind
            .flat_map(|(place, path, it)| {
                let named = it.devices.iter().filter(|device| device.name == name);
                named.map(move |device| (*place, path.as_path(), it, device))
            })
            .collect();
        found.sort_by_key(|(place, ..)| *place);
        let (place, path, description, device) = *found.last()?;
        // Two that count alike are in conflict: nobody can say which is meant.
        let rivals = found.iter().filter(|(other, ..)| *other == place).count();
        (rivals == 1).then_some((path, description, device))
    }
}

impl Edits {
    fn give(&self, given: &mut Given) -> Result<()> {
        if self.intel_rdt.is_some() || !self.net_devices.is_empty() {
            return Err(failed("intelRdt and netDevices are not supported"));
        }
        for variable in &self.env {
            set(&mut given.env, variable);
        }
        for node in &self.device_nodes {
            let found = node.found()?;
            given.nodes.retain(|other| other.path() != found.path());
            given.nodes.push(found);
        }
        given.mounts.extend(self.mounts.iter().map(Bound::mount));
        given.groups.extend(self.additional_gids.iter().filter(|gid| **gid != 0));
        self.hooks.iter().try_for_each(|called| called.give(given))
    }
}

impl Node {
    fn found(&self) -> Result<Found> {
        let source = if self.host_path.is_empty() { &self.path } else { &self.host_path };
        let (kind, major, minor) = match (self.kind.as_str(), self.major, self.minor) {
            ("p", ..) => ('p', 0, 0),
            ("b", major, minor) if (major, minor) != (0, 0) => ('b', major, minor),
            ("c" | "u", major, minor) if (major, minor) != (0, 0) => ('c', major, minor),
            _ => super::devices::numbers(source)
                .ok_or_else(|| failed(&format!("{source} is no device of this host")))?,
        };
        let access = if self.permissions.is_empty() { "rwm" } else { &self.permissions };
        Ok(Found::new(&self.path, (kind, major, minor), access).owned(
            self.file_mode.unwrap_or(MODE),
            self.uid.unwrap_or(0),
            self.gid.unwrap_or(0),
        ))
    }
}

impl Bound {
    fn mount(&self) -> Mount {
        let kind = if self.kind.is_empty() { "bind" } else { &self.kind };
        let mut options = self.options.clone();
        if kind == "bind" && !options.iter().any(|option| option == "bind" || option == "rbind") {
            options.push("bind".to_owned());
        }
        Mount {
            destination: self.container_path.clone(),
            kind: kind.to_owned(),
            source: self.host_path.clone(),
            options,
            ..Mount::default()
        }
    }
}

impl Called {
    fn give(&self, given: &mut Given) -> Result<()> {
        let hooks = &mut given.hooks;
        let list = match self.hook_name.as_str() {
            "prestart" => &mut hooks.prestart,
            "createRuntime" => &mut hooks.create_runtime,
            "createContainer" => &mut hooks.create_container,
            "startContainer" => &mut hooks.start_container,
            "poststart" => &mut hooks.poststart,
            "poststop" => &mut hooks.poststop,
            other => return Err(failed(&format!("unknown hook {other:?}"))),
        };
        let Called { path, args, env, timeout, .. } = self;
        list.push(Hook {
            path: path.clone(),
            args: args.clone(),
            env: env.clone(),
            timeout: *timeout,
        });
        Ok(())
    }
}

/// Sets a variable in a list; one of the same name goes.
pub(super) fn set(list: &mut Vec<String>, variable: &str) {
    let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    list.retain(|other| name(other) != name(variable));
    list.push(variable.to_owned());
}

fn failed(why: &str) -> EngineError {
    EngineError::Start(format!("CDI device injection failed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(files: &[(usize, &str, &str)]) -> Catalogue {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("a"), folder.path().join("b")];
        for path in &folders {
            fs::create_dir(path).unwrap();
        }
        for (place, name, text) in files {
            fs::write(folders[*place].join(name), text).unwrap();
        }
        Catalogue::read(&[&folders[0], &folders[1]])
    }

    const GPU: &str = r#"{
        "cdiVersion": "0.6.0", "kind": "nvidia.com/gpu",
        "containerEdits": {"env": ["DRIVER=1"], "mounts": [
            {"hostPath": "/lib/x.so", "containerPath": "/lib/x.so", "options": ["ro"]}]},
        "devices": [
            {"name": "0", "containerEdits": {
                "deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/null"}],
                "hooks": [{"hookName": "createContainer", "path": "/bin/ldconfig"}],
                "additionalGids": [0, 44]}},
            {"name": "1", "containerEdits": {
                "deviceNodes": [{"path": "/dev/gpu1", "type": "c", "major": 195, "minor": 1}]}},
            {"name": "all", "containerEdits": {"env": ["DRIVER=2"]}}]
    }"#;

    fn request(driver: &str, count: i64, ids: &[&str]) -> DeviceRequest {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        DeviceRequest {
            driver: driver.to_owned(),
            count,
            device_ids: (!ids.is_empty()).then_some(ids),
            capabilities: Some(vec![vec!["gpu".to_owned(), "compute".to_owned()]]),
            ..DeviceRequest::default()
        }
    }

    #[test]
    fn what_is_named_is_given_and_what_holds_for_all_once() {
        let catalogue = catalogue(&[(0, "gpu.json", GPU)]);
        let mut given = Given::default();
        let names = ["nvidia.com/gpu=0", "nvidia.com/gpu=1"].map(str::to_owned);
        catalogue.give(&names, &mut given).unwrap();
        assert_eq!(given.env, ["DRIVER=1"]);
        assert_eq!(given.mounts.len(), 1);
        assert_eq!(given.mounts[0].options, ["ro", "bind"]);
        assert_eq!(given.groups, [44]);
        assert_eq!(given.hooks.create_container[0].path, "/bin/ldconfig");
        let shown: Vec<_> = given.nodes.iter().map(Found::device).collect();
        let numbers = |at: usize| (shown[at].path.as_str(), shown[at].major, shown[at].minor);
        assert_eq!(numbers(0), ("/dev/gpu0", 1, 3), "as the host's /dev/null");
        assert_eq!(numbers(1), ("/dev/gpu1", 195, 1));
        assert_eq!(given.nodes[0].rule().access, "rwm");
        catalogue.give(&["nvidia.com/gpu=all".to_owned()], &mut given).unwrap();
        assert_eq!(given.env, ["DRIVER=2"], "the last one counts");
    }

    #[test]
    fn descriptions_in_yaml_say_the_same() {
        let text = "cdiVersion: 0.5.0\nkind: acme.com/card\ncontainerEdits:\n  env:\n  - DRIVER=1\n\
                    devices:\n- name: 0\n  containerEdits:\n    additionalGids: [44]\n    deviceNodes:\n    \
                    - {path: /dev/card0, type: c, major: 195, minor: 7, fileMode: 0640}\n";
        let catalogue = catalogue(&[(0, "card.yaml", text)]);
        let mut given = Given::default();
        catalogue.give(&["acme.com/card=0".to_owned()], &mut given).unwrap();
        assert_eq!((&given.env[..], &given.groups[..]), (&["DRIVER=1".to_owned()][..], &[44][..]));
        let shown = given.nodes[0].device();
        assert_eq!((shown.path.as_str(), shown.major, shown.minor), ("/dev/card0", 195, 7));
        assert_eq!(shown.file_mode, Some(0o640));
    }

    #[test]
    fn what_gpus_means_is_found() {
        let catalogue = catalogue(&[(1, "gpu.json", GPU)]);
        let names = |driver, count, ids: &[&str]| {
            catalogue.names(&request(driver, count, ids)).map_err(|error| error.to_string())
        };
        assert_eq!(names("", -1, &[]).unwrap(), ["nvidia.com/gpu=all"]);
        assert_eq!(names("nvidia", 2, &[]).unwrap(), ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]);
        assert_eq!(names("", 0, &["1"]).unwrap(), ["nvidia.com/gpu=1"]);
        assert_eq!(names("", i64::MAX, &[]).unwrap().len(), 4, "one more than there are");
        let words = r#"could not select device driver "odd" with capabilities: [[gpu compute]]"#;
        assert_eq!(names("odd", 1, &[]).unwrap_err(), words);
        let none = Catalogue::default().names(&request("", 1, &[])).unwrap_err().to_string();
        assert_eq!(none, words.replace("odd", ""));
    }

    #[test]
    fn what_is_not_found_is_told_with_what_could_not_be_read() {
        let both = [(0, "a.json", GPU), (0, "b.json", GPU), (1, "c.yaml", "x"), (1, "d.json", "{")];
        let catalogue = catalogue(&both);
        let error = catalogue.give(&["nvidia.com/gpu=0".to_owned()], &mut Given::default());
        let words = error.unwrap_err().to_string();
        let first = "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0; ";
        assert!(words.starts_with(first), "two say what it is: {words}");
        assert!(words.contains("c.yaml: invalid type") && words.contains("d.json: EOF"), "{words}");
        let unread = self::catalogue(&[(0, "gpu.yaml", "x")]);
        let words = unread.names(&request("", 1, &[])).unwrap_err().to_string();
        assert!(
            words.contains("could not select") && words.contains("gpu.yaml: invalid"),
            "{words}"
        );
    }

    #[test]
    fn a_later_folder_counts_before_an_earlier_one() {
        let other = GPU.replace("DRIVER=1", "DRIVER=9");
        let catalogue = catalogue(&[(0, "a.json", GPU), (1, "a.json", &other)]);
        let mut given = Given::default();
        catalogue.give(&["nvidia.com/gpu=0".to_owned()], &mut given).unwrap();
        assert_eq!(given.env, ["DRIVER=9"]);
    }
}
