//! What the package managers of languages leave beside the files that they install.

use serde::Deserialize;
use serde_json::Value;

use super::{Package, url};

/// The package that a `package.json` describes.
pub(super) fn npm(text: &str) -> Option<Vec<Package>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let get = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (whole, version) = (get("name"), get("version"));
    // What has neither is a part of a package: it says only how its files are read.
    if whole.is_empty() || version.is_empty() {
        return Some(Vec::new());
    }
    let (place, name) = whole.rsplit_once('/').unwrap_or(("", &whole));
    let license = match &document["license"] {
        Value::String(text) => text.clone(),
        other => other["type"].as_str().unwrap_or_default().to_owned(),
    };
    let url = url("npm", place, (name, &version), &[]);
    Some(vec![Package { url, name: whole, version, license, ..Package::default() }])
}

/// The package that Python's metadata describes: headers up to an empty line.
pub(super) fn python(text: &str) -> Vec<Package> {
    let headers = || text.lines().take_while(|line| !line.is_empty());
    let get = |name: &str| {
        let field =
            |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
        headers().find_map(field).unwrap_or_default()
    };
    let (name, version) = (get("Name"), get("Version"));
    let license = [get("License-Expression"), get("License")];
    let license = license.into_iter().find(|text| !text.is_empty() && text != "UNKNOWN");
    let same = name.to_lowercase().replace(['_', '.'], "-");
    let url = url("pypi", "", (&same, &version), &[]);
    vec![Package { url, name, version, license: license.unwrap_or_default(), ..Package::default() }]
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
}

/// The packages that a lock of cargo's names; those without a source are the workspace's own.
pub(super) fn cargo_lock(text: &str) -> Option<Vec<Package>> {
    let lock: Lock = toml::from_str(text).ok()?;
    let package =
        |Locked { name, version, source }: Locked| source.map(|_| crate_package(name, version));
    Some(lock.package.into_iter().filter_map(package).collect())
}

/// A package of Rust's.
pub(super) fn crate_package(name: String, version: String) -> Package {
    let url = url("cargo", "", (&name, &version), &[]);
    Package { url, name, version, ..Package::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_of_packages() {
        let one = |list: Vec<Package>| {
            let [package] = list.try_into().unwrap();
            (package.url, package.license)
        };
        let is = |url: &str, license: &str| (url.to_owned(), license.to_owned());
        let text = r#"{"name": "@a/left-pad", "version": "1.3.0", "license": {"type": "MIT"}}"#;
        assert_eq!(one(npm(text).unwrap()), is("pkg:npm/%40a/left-pad@1.3.0", "MIT"));
        assert_eq!(npm(r#"{"type": "module"}"#), Some(Vec::new()));
        assert_eq!(npm("{"), None);
        let text = "Metadata-Version: 2.1\nName: Foo_Bar.baz\nVersion: 2.0\nLicense: UNKNOWN\n\nName: other\n";
        assert_eq!(one(python(text)), is("pkg:pypi/foo-bar-baz@2.0", ""));
        let text = "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry+x\"\nchecksum = \"0\"\n";
        assert_eq!(one(cargo_lock(text).unwrap()), is("pkg:cargo/serde@1.0.1", ""));
        assert_eq!(cargo_lock("[[package"), None);
    }
}
