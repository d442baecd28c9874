//! The runtime through the command line that containerd and podman speak.

mod callers;
mod hooks;
mod life;
mod peers;
mod podman;
mod security;
mod surroundings;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::{Mica, Run};

/// What the tests' containers need of busybox.
const TOOLS: &[&str] = &[
    "sh", "cat", "chmod", "dd", "echo", "grep", "head", "hostname", "id", "ln", "ls", "mkdir",
    "mknod", "mount", "ps", "readlink", "sleep", "stat", "stty", "test", "touch", "true", "tty",
    "umount", "wc", "awk",
];

/// A bundle over busybox, and the containers made of it, gone when the test is.
struct Bundle {
    mica: Mica,
    config: Value,
    id: String,
}

impl Bundle {
    /// A bundle, or the reason why there is none here.
    fn new() -> Result<Bundle, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !testkit::is_root() {
            return Err("needs root".to_owned());
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
        let busybox = busybox.iter().find(|path| path.exists()).ok_or("needs busybox")?;
        let mica = Mica::new();
        let bin = mica.path("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy(busybox, bin.join("busybox")).unwrap();
        TOOLS.iter().for_each(|tool| symlink("busybox", bin.join(tool)).unwrap());
        mica.ok("runtime spec");
        let text = fs::read(mica.path("config.json")).unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("mica-test-{}-{number}", std::process::id());
        let mut bundle = Bundle { mica, config: serde_json::from_slice(&text).unwrap(), id };
        bundle.config["process"]["terminal"] = json!(false);
        Ok(bundle)
    }

    /// The same with its configuration changed.
    fn with(mut self, change: impl FnOnce(&mut Value)) -> Bundle {
        change(&mut self.config);
        self
    }

    /// The same as docker would make it: its capabilities, its policy, a root that can be written
    /// to.
    fn docker_like(self) -> Bundle {
        let kept = [
            "CHOWN",
            "DAC_OVERRIDE",
            "FSETID",
            "FOWNER",
            "MKNOD",
            "NET_RAW",
            "SETGID",
            "SETUID",
            "SETFCAP",
            "SETPCAP",
            "NET_BIND_SERVICE",
            "SYS_CHROOT",
            "KILL",
            "AUDIT_WRITE",
        ];
        let kept: Vec<_> = kept.iter().map(|name| format!("CAP_{name}")).collect();
        let set = kept.iter().filter_map(|name| runtime::capability::bit(name)).sum();
        let subject = runtime::seccomp::Subject { capabilities: set, kernel: (6, 0) };
        let policy = runtime::seccomp::Profile::of_docker().resolve(subject).unwrap();
        self.with(|config| {
            for name in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][name] = json!(kept);
            }
            config["process"]["noNewPrivileges"] = json!(false);
            config["root"]["readonly"] = json!(false);
            config["linux"]["seccomp"] = serde_json::to_value(policy).unwrap();
        })
    }

    /// A path in the container's root.
    fn inside(&self, path: &str) -> PathBuf {
        self.mica.path("rootfs").join(path)
    }

    fn write_config(&self) {
        let text = serde_json::to_vec(&self.config).unwrap();
        fs::write(self.mica.path("config.json"), text).unwrap();
    }

    /// A command of the runtime, `ID` standing for the container's name. What it prints goes to
    /// files: a container that lives on would hold a pipe open.
    fn runtime(&self, line: &str) -> Run {
        self.runtime_with(line, &[])
    }

    /// The same with variables set, and with its null device open once more, as the first
    /// descriptor after the standard ones. The shell replaces `$$` by the runtime's number.
    fn runtime_with(&self, line: &str, variables: &[&str]) -> Run {
        let line = line.replace("ID", &self.id);
        let state = self.mica.path("state").display().to_string();
        let own = self.mica.command(&format!("runtime --root {state} {line}"));
        let mut command = match variables {
            [] => own,
            variables => {
                let script = format!("exec env {} \"$@\" 3</dev/null", variables.join(" "));
                let mut command = self.mica.program("sh");
                command.args(["-c", &script, "sh"]).arg(own.get_program()).args(own.get_args());
                command
            }
        };
        let (out, err) = (self.mica.path("stdout"), self.mica.path("stderr"));
        command.stdout(fs::File::create(&out).unwrap());
        let status = command.stderr(fs::File::create(&err).unwrap()).status().unwrap();
        let (stdout, stderr) = (fs::read(&out).unwrap(), fs::read(&err).unwrap());
        Run::of(&line, Output { status, stdout, stderr })
    }

    /// Runs a script in a container of its own.
    fn script(&mut self, script: &str) -> Run {
        self.config["process"]["args"] = json!(["sh", "-c", script]);
        self.write_config();
        self.runtime("run ID")
    }

    /// Starts a container that sleeps.
    #[track_caller]
    fn sleeper(&mut self) {
        self.config["process"]["args"] = json!(["sleep", "1000"]);
        self.write_config();
        for line in ["create ID", "start ID"] {
            let run = self.runtime(line);
            assert_eq!(run.code, 0, "{line}: {}", run.err);
        }
    }

    /// Waits until the container is so.
    #[track_caller]
    fn wait_for(&self, status: &str) {
        for _ in 0..1500 {
            if self.status() == status {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("it is still {}", self.status());
    }

    /// The container's status.
    fn status(&self) -> String {
        let state = self.runtime("state ID");
        let state: Value = serde_json::from_str(&state.out).unwrap_or_default();
        state["status"].as_str().unwrap_or("none").to_owned()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.runtime("delete --force ID");
    }
}

/// A bundle, or the test is left, counted as skipped.
macro_rules! bundle {
    () => {
        match $crate::runtime::Bundle::new() {
            Ok(bundle) => bundle,
            Err(reason) => return testkit::skip(reason),
        }
    };
}
use bundle;
