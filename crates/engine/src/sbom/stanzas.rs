//! Databases of text: dpkg's and apk's, a paragraph for each package.

use super::{Package, System, url};

/// The packages of dpkg's database. With `has_states` only those that are installed.
pub(super) fn dpkg(text: &str, has_states: bool, system: &System) -> Vec<Package> {
    let package = |stanza: &str| {
        let get = |name: &str| {
            let field =
                |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
            stanza.lines().find_map(field).unwrap_or_default()
        };
        if has_states && get("Status").rsplit(' ').next() != Some("installed") {
            return None;
        }
        let (name, version) = (get("Package"), get("Version"));
        let mut qualifiers = vec![("arch", get("Architecture"))];
        qualifiers.extend(system.qualifier());
        // `Source: name (version)`, where that is not the package's own.
        let source = get("Source").replace(" (", "@").replace(')', "");
        qualifiers.push(("upstream", source));
        let url = url("deb", system.place("debian"), (&name, &version), &qualifiers);
        Some(Package { url, name, version, ..Package::default() })
    };
    text.split("\n\n").filter_map(package).collect()
}

/// The packages of apk's database.
pub(super) fn apk(text: &str, system: &System) -> Vec<Package> {
    let package = |stanza: &str| {
        let get = |letter: &str| {
            let field = |line: &str| Some(line.strip_prefix(letter)?.strip_prefix(':')?.to_owned());
            stanza.lines().find_map(field).unwrap_or_default()
        };
        let (name, version, license) = (get("P"), get("V"), get("L"));
        let mut qualifiers = vec![("arch", get("A"))];
        qualifiers.extend(system.qualifier());
        let origin = get("o");
        if origin != name {
            qualifiers.push(("upstream", origin));
        }
        let url = url("apk", system.place("alpine"), (&name, &version), &qualifiers);
        Package { url, name, version, license, ..Package::default() }
    };
    text.split("\n\n").map(package).filter(|package| !package.name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(packages: &[Package]) -> Vec<&str> {
        packages.iter().map(|package| package.url.as_str()).collect()
    }

    #[test]
    fn dpkg_tells_what_is_installed() {
        let text = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4\nDescription: a\n b\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: libc6\nStatus: hold ok installed\nSource: glibc (2.36-9)\nArchitecture: amd64\nVersion: 2.36-9+deb12u1\n";
        let system = System { id: "debian".to_owned(), version: "12".to_owned() };
        let found = dpkg(text, true, &system);
        let wanted = [
            "pkg:deb/debian/base-files@12.4?arch=amd64&distro=debian-12",
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=glibc%402.36-9",
        ];
        assert_eq!(urls(&found), wanted);
        let alone = dpkg("Package: a\nVersion: 1\n", false, &System::default());
        assert_eq!(urls(&alone), ["pkg:deb/debian/a@1"]);
        assert!(dpkg("Package: a\nVersion: 1\n", true, &System::default()).is_empty());
    }

    #[test]
    fn apk_tells_what_is_installed() {
        let text = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl\n\nP:ssl_client\nV:1.36\nA:x86_64\nL:GPL-2.0-only\no:busybox\n\n";
        let system = System { id: "alpine".to_owned(), version: "3.19.1".to_owned() };
        let found = apk(text, &system);
        let wanted = [
            "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.19.1",
            "pkg:apk/alpine/ssl_client@1.36?arch=x86_64&distro=alpine-3.19.1&upstream=busybox",
        ];
        assert_eq!(urls(&found), wanted);
        assert_eq!(found[1].license, "GPL-2.0-only");
    }
}
