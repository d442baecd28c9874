//! What the engine says of itself in docker's documents: `version` and `info`.

use runtime::cgroup::Layout;
use serde_json::{Map, Value, json};
use spec::{Platform, Timestamp};

use crate::CgroupDriver;
use crate::system::{Info, RegistryView, VERSION, kernel_release};

/// The newest version of docker's API whose behaviour is followed.
pub const API_VERSION: &str = "1.51";
/// The oldest version of docker's API that is answered.
pub const MIN_API_VERSION: &str = "1.24";

/// The log drivers that there are.
const LOG_DRIVERS: [&str; 5] = ["journald", "json-file", "local", "none", "syslog"];

/// What `version` says of the engine.
pub fn version_document() -> Value {
    let arch = Platform::host().architecture;
    let kernel = kernel_release();
    json!({
        "Platform": { "Name": "mica" },
        "Components": [{
            "Name": "Engine",
            "Version": VERSION,
            "Details": {
                "ApiVersion": API_VERSION,
                "Arch": arch,
                "Experimental": "false",
                "KernelVersion": kernel,
                "MinAPIVersion": MIN_API_VERSION,
                "Os": "linux",
            },
        }],
        "Version": VERSION,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": arch,
        "KernelVersion": kernel,
    })
}

impl Info {
    /// Docker's document, with the run root besides.
    pub fn document(&self) -> Value {
        let parts = [
            self.own_part(),
            abilities(self.is_of_user, self.cgroup_driver),
            self.machine_part(),
            fixed_part(),
        ];
        let fields = parts.into_iter().filter_map(|part| match part {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        Value::Object(fields.flatten().collect())
    }

    fn own_part(&self) -> Value {
        json!({
            "ID": self.id,
            "Containers": self.containers.all(),
            "ContainersRunning": self.containers.running,
            "ContainersPaused": self.containers.paused,
            "ContainersStopped": self.containers.stopped,
            "Images": self.images,
            "Layers": self.layers,
            "Driver": self.driver,
            "DriverStatus": [
                ["Backing Filesystem", self.backing],
                ["Chosen because", self.driver_reason],
            ],
            "DockerRootDir": self.root,
            "RunRoot": self.run,
            "Runtimes": self.runtimes.document(),
            "DefaultRuntime": self.runtimes.default,
            "RegistryConfig": registry_part(&self.registries),
            "Labels": self.labels,
            "SecurityOptions": self.security_options(),
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "none"],
                "Authorization": null,
                "Log": LOG_DRIVERS,
            },
        })
    }

    fn security_options(&self) -> Vec<&'static str> {
        let usual = std::iter::once("name=seccomp,profile=builtin");
        let further = [(self.is_of_user, "name=rootless"), (self.has_users, "name=userns")];
        usual.chain(further.into_iter().filter_map(|(is, name)| is.then_some(name))).collect()
    }

    fn machine_part(&self) -> Value {
        json!({
            "Name": self.hostname,
            "KernelVersion": self.kernel,
            "OperatingSystem": self.operating_system,
            "OSVersion": self.os_version,
            "OSType": "linux",
            "Architecture": self.machine,
            "NCPU": self.cpus,
            "MemTotal": self.memory,
            "GenericResources": [],
        })
    }
}

/// What can be limited, and how: an ordinary user has no control groups but those that a systemd of his
/// own makes.
fn abilities(is_of_user: bool, driver: CgroupDriver) -> Value {
    let can = !is_of_user || driver == CgroupDriver::Systemd;
    let version = match Layout::of_host() {
        Ok(Layout::Version2 { .. }) => "2",
        _ => "1",
    };
    json!({
        "MemoryLimit": can,
        "SwapLimit": can,
        "CpuCfsPeriod": can,
        "CpuCfsQuota": can,
        "CPUShares": can,
        "CPUSet": can,
        "PidsLimit": can,
        "IPv4Forwarding": true,
        "Debug": false,
        "NFd": 0,
        "OomKillDisable": can && version == "1",
        "NGoroutines": 0,
        "SystemTime": Timestamp::now().to_string(),
        "LoggingDriver": "json-file",
        "CgroupDriver": match driver {
            CgroupDriver::Systemd => "systemd",
            CgroupDriver::Cgroupfs if can => "cgroupfs",
            CgroupDriver::Cgroupfs => "none",
        },
        "CgroupVersion": version,
        "NEventsListener": 0,
    })
}

/// Whom images come from, as docker shows it.
fn registry_part(registries: &RegistryView) -> Value {
    let RegistryView { mirrors, insecure } = registries;
    let (networks, hosts): (Vec<_>, Vec<_>) = insecure.iter().partition(|one| one.contains('/'));
    let index = |name: &str, mirrors: &[String], official: bool| json!({ "Mirrors": mirrors, "Name": name, "Official": official, "Secure": official });
    let mut configs = Map::from_iter([("docker.io".to_owned(), index("docker.io", mirrors, true))]);
    configs.extend(hosts.iter().map(|host| ((*host).clone(), index(host, &[], false))));
    let usual = ["::1/128", "127.0.0.0/8"];
    let networks: Vec<&str> =
        usual.into_iter().chain(networks.iter().map(|network| network.as_str())).collect();
    json!({
        "IndexConfigs": configs,
        "InsecureRegistryCIDRs": networks,
        "Mirrors": (!mirrors.is_empty()).then_some(mirrors),
    })
}

/// What never changes.
fn fixed_part() -> Value {
    json!({
        "IndexServerAddress": "https://index.docker.io/v1/",
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "ExperimentalBuild": false,
        "ServerVersion": VERSION,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "mica",
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "Warnings": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_shown_as_docker_shows_them() {
        let none = registry_part(&RegistryView::default());
        assert_eq!(none["Mirrors"], Value::Null);
        let registries = RegistryView {
            mirrors: vec!["http://m.org:5000/".to_owned()],
            insecure: vec!["lab.org:5000".to_owned(), "10.0.0.0/8".to_owned()],
        };
        let shown = registry_part(&registries);
        assert_eq!(shown["Mirrors"], json!(["http://m.org:5000/"]));
        assert_eq!(shown["IndexConfigs"]["docker.io"]["Mirrors"], shown["Mirrors"]);
        let lab = json!({
            "Mirrors": [], "Name": "lab.org:5000", "Official": false, "Secure": false,
        });
        assert_eq!(shown["IndexConfigs"]["lab.org:5000"], lab);
        let networks = json!(["::1/128", "127.0.0.0/8", "10.0.0.0/8"]);
        assert_eq!(shown["InsecureRegistryCIDRs"], networks);
    }
}
