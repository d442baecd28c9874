//! An ordinary user of a test's own: what root has to lend him is put in place for his commands
//! alone, in a namespace of mounts.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::containers::support::{base, eventually};
use crate::support::{Image, Mica, Run, has};

/// The user, who is nobody else on a machine, and his first lent id.
pub(super) const USER: u32 = 23_456;
pub(super) const LENT: u32 = 1_300_000;

/// What is put in place before the user's command: `$1` is the test's folder, `$2` the program. A
/// device for networks is given as systems usually give it.
const PLACE: &str = r#"
set -e
place=$1; program=$2; shift 2
for file in passwd group subuid subgid; do
    mount --bind "$place/etc/$file" "/etc/$file"
done
test ! -e "$place/tun" || mount --bind "$place/tun" /dev/net/tun
mount --bind "$program" "$place/mica"
exec setpriv --reuid 23456 --regid 23456 --clear-groups "$place/mica" "$@"
"#;

/// No namespace of users below this one.
const FORBIDDEN: &str = r#"
set -e
echo 0 > /proc/sys/user/max_user_namespaces
program=$2; shift 2
exec setpriv --ambient-caps -all --inh-caps -all "$program" "$@"
"#;

/// A mica of an ordinary user's, with the image `bb`.
pub(super) struct User {
    mica: Mica,
    forbidden: bool,
}

impl Deref for User {
    type Target = Mica;

    fn deref(&self) -> &Mica {
        &self.mica
    }
}

impl User {
    /// One with 65,536 lent ids.
    pub(super) fn with_ids() -> Option<User> {
        User::with(&format!("{USER}:{LENT}:65536\n"), false)
    }

    /// One with his own id alone.
    pub(super) fn with_one_id() -> Option<User> {
        User::with("", false)
    }

    /// One who may have no namespace.
    pub(super) fn without_namespaces() -> Option<User> {
        User::with("", true)
    }

    fn with(lent: &str, forbidden: bool) -> Option<User> {
        let Some(base) = base() else {
            testkit::skip("busybox is not installed");
            return None;
        };
        if !testkit::is_root() {
            testkit::skip("a user of the test's own takes root");
            return None;
        }
        let tools = ["unshare", "setpriv", "newuidmap", "newgidmap"];
        if let Some(missing) = tools.iter().find(|tool| !has(tool)) {
            testkit::skip(format!("{missing} is not installed"));
            return None;
        }
        let user = User { mica: Mica::new(), forbidden };
        let place = user.place();
        let accounts = "root:x:0:0::/root:/bin/sh\nann:x:23456:23456::/:/bin/sh\n";
        fs::create_dir(place.join("etc")).unwrap();
        for (file, text) in [
            ("etc/passwd", accounts),
            ("etc/group", "root:x:0:\nann:x:23456:\n"),
            ("etc/subuid", lent),
            ("etc/subgid", lent),
            ("mica", ""),
        ] {
            fs::write(place.join(file), text).unwrap();
        }
        if Path::new("/dev/net/tun").exists() {
            user.make_tun();
        }
        for folder in [place.clone(), place.join("work"), place.join("home")] {
            if !forbidden {
                chown(&folder, Some(USER), Some(USER)).unwrap();
            }
        }
        user.file("bb.tar", Image::new(&["bb:latest"]).layer(base, "base").archive());
        let loaded = user.run("load -q -i bb.tar");
        assert_eq!(loaded.code, 0, "{loaded}");
        Some(user)
    }

    /// The folder of the test.
    pub(super) fn place(&self) -> PathBuf {
        self.mica.work().parent().unwrap().to_owned()
    }

    /// Gives the user a device for networks, as most systems do.
    fn make_tun(&self) {
        use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
        let path = self.place().join("tun");
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, &path, FileType::CharacterDevice, mode, makedev(10, 200)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// A command of the user's.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = self.mica.program("unshare");
        let script = if self.forbidden { FORBIDDEN } else { PLACE };
        if self.forbidden {
            // Root, who is called otherwise there and has no powers left when the program runs.
            let user = USER.to_string();
            command.args(["--user", "--map-user", &user, "--map-group", &user, "--keep-caps"]);
        }
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(self.place());
        command.arg(env!("CARGO_BIN_EXE_mica")).args(crate::support::words(line));
        command
    }

    /// Runs it and says what came of it.
    pub(super) fn run(&self, line: &str) -> Run {
        Run::of(line, self.command(line).output().unwrap())
    }

    /// Runs what must work without a complaint, and gives what it printed.
    #[track_caller]
    pub(super) fn ok(&self, line: &str) -> String {
        let run = self.run(line);
        assert!(run.code == 0 && run.err.is_empty(), "{run}");
        run.out.trim_end().to_owned()
    }

    /// The processes of this user's monitors: each carries the data root on its command line.
    pub(super) fn monitors(&self) -> Vec<u32> {
        let root = self.root().into_os_string().into_encoded_bytes();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let carries = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == root)
        };
        numbers.filter(carries).collect()
    }

    /// The process that keeps the user's namespace.
    pub(super) fn keeper(&self) -> u32 {
        let text = fs::read_to_string(self.place().join("run/namespace")).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for id in self.run("ps -aq").out.lines() {
            self.run(&format!("rm -f {id}"));
        }
        // A test that has failed already is not to panic again.
        if !std::thread::panicking() {
            eventually("the monitors end", || self.monitors().is_empty());
        }
        if let Ok(text) = fs::read_to_string(self.place().join("run/namespace"))
            && let Some(keeper) = text.split(' ').next()
        {
            keeper
                .parse()
                .into_iter()
                .for_each(|pid| crate::containers::support::kill(pid, "KILL"));
        }
    }
}
