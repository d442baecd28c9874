//! What the monitor of a test does: shared by the tests and the program that is the monitor.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use runtime::logs::LogConfig;
use serde::{Deserialize, Serialize};

/// What the monitor of a test does.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Plan {
    pub(crate) folder: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) restart: String,
    pub(crate) stop_timeout: u64,
    pub(crate) log_options: Vec<(String, String)>,
    pub(crate) log: String,
    pub(crate) check: Option<Vec<String>>,
    pub(crate) auto_remove: bool,
    /// A child that the monitor was never told of is made at the start.
    pub(crate) stray: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            folder: PathBuf::new(),
            args: Vec::new(),
            tty: false,
            stdin: false,
            stdin_once: false,
            restart: "no".into(),
            stop_timeout: 10,
            log_options: Vec::new(),
            log: "json-file".into(),
            check: None,
            auto_remove: false,
            stray: false,
        }
    }
}

impl Plan {
    pub(crate) fn log_config(&self) -> LogConfig {
        LogConfig::parse(&self.log, &self.log_options.iter().cloned().collect()).unwrap()
    }
}

/// The two sides of a new terminal.
pub(crate) fn terminal() -> (OwnedFd, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    (master, slave)
}
