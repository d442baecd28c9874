//! `setup`: what the tasks need from the distribution, and how it gets there.

use std::process::Command;

use crate::{Result, process};

/// The packages of one purpose, by Debian's names.
struct Group {
    name: &'static str,
    packages: &'static [&'static str],
}

const GROUPS: [Group; 3] = [
    Group {
        name: "test",
        packages: &[
            // A root file system of one program.
            "busybox-static",
            // File systems on loop devices: reflinks, other limits.
            "btrfs-progs",
            "e2fsprogs",
            "xfsprogs",
            // Checks what mica writes by means that mica did not write.
            "erofs-utils",
            "buildah",
            "libarchive-tools",
            "mmdebstrap",
            "podman",
            "skopeo",
            "tar",
            "umoci",
            // A registry, and certificates for it.
            "docker-registry",
            "openssl",
            // Compressors, for fixtures.
            "bzip2",
            "gzip",
            "xz-utils",
            "zstd",
            // Sets up a test's own host, and reads links and rules by means that are not mica's.
            "iproute2",
            "iptables",
            "nftables",
            // Users and networks without privilege.
            "uidmap",
            "passt",
            "slirp4netns",
            "acl",
            "attr",
            "strace",
            "util-linux",
            // Makes control groups in its own way; not started but by tests.
            "systemd",
        ],
    },
    Group {
        name: "bench",
        packages: &[
            "crun",
            "curl",
            "docker-registry",
            "mmdebstrap",
            "pigz",
            "podman",
            "skopeo",
            "tar",
            "umoci",
            "zstd",
        ],
    },
    Group { name: "coverage", packages: &[] },
];

/// Installs the packages of the groups named, or says what a person has to do.
pub(crate) fn setup(groups: &[String]) -> Result {
    let names: Vec<&str> = match groups {
        [] => vec!["test"],
        [all] if all == "all" => GROUPS.iter().map(|group| group.name).collect(),
        named => named.iter().map(String::as_str).collect(),
    };
    let missing = missing(&wanted(&names)?);
    if missing.is_empty() {
        println!("setup: everything for {} is installed", names.join(", "));
        return Ok(());
    }
    install(&missing)
}

/// Installs what the tests need; without it they still run, and say what they skip.
pub(crate) fn setup_for_tests() {
    if let Err(error) = setup(&[]) {
        eprintln!("setup: {error}\nsetup: going on; tests that need more will be skipped");
    }
}

fn wanted(names: &[&str]) -> Result<Vec<String>> {
    let mut wanted = Vec::new();
    for name in names {
        let group = GROUPS.iter().find(|group| group.name == *name).ok_or_else(|| {
            let known = GROUPS.map(|group| group.name).join(", ");
            format!("no group of packages is called `{name}` (known: {known}, all)")
        })?;
        wanted.extend(group.packages.iter().map(ToString::to_string));
        if group.name == "coverage" {
            wanted.push(crate::coverage::package()?);
        }
    }
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

/// Those that dpkg does not know as installed; all of them where there is no dpkg.
fn missing(wanted: &[String]) -> Vec<String> {
    let listed = Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Status}\n"]).output();
    let listed = listed.map(|listed| listed.stdout).unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed);
    let installed: std::collections::HashSet<&str> =
        listed.lines().filter_map(|line| line.strip_suffix(" install ok installed")).collect();
    wanted.iter().filter(|name| !installed.contains(name.as_str())).cloned().collect()
}

fn install(packages: &[String]) -> Result {
    let list = packages.join(" ");
    if !process::exists("apt-get") {
        return Err(format!(
            "there is no apt-get here: install what these Debian packages hold by your \
             distribution's own means: {list}"
        )
        .into());
    }
    if !process::is_root() {
        return Err(
            format!("not root: run `sudo apt-get install --no-install-recommends {list}`").into()
        );
    }
    println!("setup: installing {list}");
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        apt
    };
    process::run(apt().arg("update"))?;
    process::run_quietly(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))?;
    println!("setup: installed {list}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_package_once() {
        let wanted = wanted(&["test", "bench"]).expect("both groups exist");
        let skopeo = wanted.iter().filter(|name| *name == "skopeo").count();
        assert_eq!(skopeo, 1);
    }

    #[test]
    fn an_unknown_group_is_an_error_that_names_the_known() {
        let error = wanted(&["tests"]).expect_err("the group is called `test`");
        assert!(error.to_string().contains("test, bench, coverage"), "{error}");
    }

    #[test]
    fn what_cannot_be_installed_is_missing() {
        let wanted = ["no-such-package-in-any-distribution".to_string()];
        assert_eq!(missing(&wanted), wanted);
    }
}
