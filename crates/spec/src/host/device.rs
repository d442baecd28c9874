//! Devices and limits, as flags give them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::json::null_is_default;
use crate::units::parse_binary_size;

/// A disk and its share.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    /// The device's path on the host.
    pub path: String,
    /// Its share, 10 to 1,000.
    pub weight: u16,
}

/// A disk and a rate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    /// The device's path on the host.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// A device of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    /// Where it is on the host.
    pub path_on_host: String,
    /// Where it is inside.
    pub path_in_container: String,
    /// What may be done with it: letters of `rwm`.
    pub cgroup_permissions: String,
}

/// Devices asked for by what they can do, as `--gpus` does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    /// Who serves it; `cdi` for names of the container device interface.
    #[serde(deserialize_with = "null_is_default")]
    pub driver: String,
    /// How many; -1 is all.
    #[serde(deserialize_with = "null_is_default")]
    pub count: i64,
    /// Which ones.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Option<Vec<String>>,
    /// What they must be able to do: one of these lists in full.
    pub capabilities: Option<Vec<Vec<String>>>,
    /// Options of whoever serves it.
    #[serde(deserialize_with = "null_is_default")]
    pub options: BTreeMap<String, String>,
}

/// A limit of each process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// Its name without `RLIMIT_`, in lower case.
    pub name: String,
    /// What a process may raise its own limit to; -1 is no limit.
    pub hard: i64,
    /// What counts; -1 is no limit.
    pub soft: i64,
}

/// The limits there are.
const ULIMITS: [&str; 15] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
];

impl FromStr for Ulimit {
    type Err = String;

    /// Reads `nofile=1024:2048`, in docker's words where it is wrong.
    fn from_str(text: &str) -> Result<Ulimit, String> {
        let (name, limits) =
            text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
        let known = ULIMITS.contains(&name) || name == "rttime";
        if !known {
            return Err(format!("invalid ulimit type: {name}"));
        }
        let number = |text: &str| {
            let number = text.parse::<i64>();
            number.map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        };
        let (soft, hard) = match limits.split_once(':') {
            None => (number(limits)?, number(limits)?),
            Some((_, rest)) if rest.contains(':') => {
                return Err(format!(
                    "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
                ));
            }
            Some((soft, hard)) => (number(soft)?, number(hard)?),
        };
        let above = hard != -1 && (soft == -1 || soft > hard);
        if above {
            return Err(format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            ));
        }
        Ok(Ulimit { name: name.to_owned(), hard, soft })
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.name, self.soft, self.hard)
    }
}

impl FromStr for DeviceMapping {
    type Err = String;

    /// Reads `/dev/host[:/dev/inside][:rwm]`.
    fn from_str(text: &str) -> Result<DeviceMapping, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, inside, permissions) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, mode] if is_device_mode(mode) => (host, host, mode),
            [host, inside] => (host, inside, "rwm"),
            [host, inside, mode] => (host, inside, mode),
            _ => return Err(format!("invalid device specification: {text}")),
        };
        if !is_device_mode(permissions) {
            return Err(format!("bad mode specified: {permissions}"));
        }
        if inside.is_empty() {
            return Err(" is not an absolute path".to_owned());
        }
        Ok(DeviceMapping {
            path_on_host: host.to_owned(),
            path_in_container: inside.to_owned(),
            cgroup_permissions: permissions.to_owned(),
        })
    }
}

/// Whether these are letters of `rwm`, each at most once.
fn is_device_mode(text: &str) -> bool {
    let once = |letter| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|letter| "rwm".contains(letter) && once(letter))
}

impl FromStr for WeightDevice {
    type Err = String;

    /// Reads `/dev/sda:500`.
    fn from_str(text: &str) -> Result<WeightDevice, String> {
        let (path, weight) = disk(text)?;
        let weight: u16 =
            weight.parse().map_err(|_| format!("invalid weight for device: {text}"))?;
        match weight {
            0 | 10..=1000 => Ok(WeightDevice { path: path.to_owned(), weight }),
            _ => Err(format!("invalid weight for device: {text}")),
        }
    }
}

impl ThrottleDevice {
    /// Reads `/dev/sda:1mb`.
    pub fn parse_bytes(text: &str) -> Result<ThrottleDevice, String> {
        let wrong = || {
            format!(
                "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
            )
        };
        let (path, rate) = disk(text)?;
        let rate = parse_binary_size(rate).map_err(|_| wrong())?;
        Ok(ThrottleDevice { path: path.to_owned(), rate: rate as u64 })
    }

    /// Reads `/dev/sda:1000`.
    pub fn parse_count(text: &str) -> Result<ThrottleDevice, String> {
        let wrong = || {
            format!(
                "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"
            )
        };
        let (path, rate) = disk(text)?;
        Ok(ThrottleDevice { path: path.to_owned(), rate: rate.parse().map_err(|_| wrong())? })
    }
}

fn disk(text: &str) -> Result<(&str, &str), String> {
    let (path, value) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    match path.starts_with("/dev/") && !value.is_empty() {
        true => Ok((path, value)),
        false => Err(format!("bad format for device path: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits_are_read() {
        let limit: Ulimit = "nofile=1024:2048".parse().unwrap();
        assert_eq!((limit.soft, limit.hard), (1024, 2048));
        assert_eq!("core=-1".parse::<Ulimit>().unwrap().to_string(), "core=-1:-1");
        let check = |text: &str, words: &str| {
            let error = text.parse::<Ulimit>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        };
        check("nofile", "invalid ulimit argument: nofile");
        check("what=1", "invalid ulimit type: what");
        check("nofile=1:2:3", "too many limit value arguments");
        check("nofile=3:2", "soft limit must be less than or equal to hard limit: 3 > 2");
        check("nofile=-1:2", "soft limit must be less");
    }

    #[test]
    fn devices_are_read() {
        let check = |text: &str, expected: [&str; 3]| {
            let device: DeviceMapping = text.parse().unwrap();
            let got = [device.path_on_host, device.path_in_container, device.cgroup_permissions];
            assert_eq!(got, expected);
        };
        check("/dev/null", ["/dev/null", "/dev/null", "rwm"]);
        check("/dev/null:r", ["/dev/null", "/dev/null", "r"]);
        check("/dev/null:/dev/x", ["/dev/null", "/dev/x", "rwm"]);
        check("/dev/null:/dev/x:rw", ["/dev/null", "/dev/x", "rw"]);
        assert!("/dev/null:/dev/x:rr".parse::<DeviceMapping>().is_err());
        assert!("a:b:c:d".parse::<DeviceMapping>().is_err());
        let wrong = |text: &str| text.parse::<DeviceMapping>().unwrap_err();
        assert_eq!(wrong("/dev/null:"), " is not an absolute path");
        assert_eq!(wrong("/dev/null::r"), " is not an absolute path");
        assert_eq!(wrong("/dev/null::zz"), "bad mode specified: zz");
    }

    #[test]
    fn disks_are_read() {
        assert_eq!("/dev/sda:500".parse::<WeightDevice>().unwrap().weight, 500);
        assert!("/dev/sda:5".parse::<WeightDevice>().is_err());
        assert!("sda:500".parse::<WeightDevice>().is_err());
        assert_eq!(ThrottleDevice::parse_bytes("/dev/sda:1mb").unwrap().rate, 1 << 20);
        assert_eq!(ThrottleDevice::parse_count("/dev/sda:1000").unwrap().rate, 1000);
        assert!(ThrottleDevice::parse_count("/dev/sda:-1").is_err());
    }
}
