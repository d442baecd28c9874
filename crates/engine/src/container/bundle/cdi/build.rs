//! Devices that a step of a build asks for: besides their full names there are BuildKit's short ones.

use std::path::Path;

use super::description::{Described, Description};
use super::{Catalogue, FOLDERS, Given};
use crate::error::Result;

/// An annotation with a name that devices of several vendors may have in common.
const CLASS: &str = "org.mobyproject.buildkit.device.class";
/// An annotation of what any build may have.
const FREE: &str = "org.mobyproject.buildkit.device.autoallow";

/// A device that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    /// `vendor.com/class=name`.
    pub(crate) name: String,
    /// Whether a build may have it without being allowed to.
    pub(crate) is_free: bool,
}

impl Registered {
    /// The devices that a name means: one, the first of a class, all of it (`class=*`), or all that
    /// are annotated so.
    pub(crate) fn called(name: &str) -> Vec<Registered> {
        Catalogue::read(&FOLDERS.map(Path::new)).called(name)
    }

    /// What a container gets that has these devices.
    pub(in crate::container) fn given(names: &[String]) -> Result<Given> {
        let mut given = Given::default();
        if !names.is_empty() {
            Catalogue::read(&FOLDERS.map(Path::new)).give(names, &mut given)?;
        }
        Ok(given)
    }
}

impl Catalogue {
    fn called(&self, asked: &str) -> Vec<Registered> {
        let (kind, wanted) = match asked.split_once('=') {
            Some((kind, name)) => (kind, Some(name)),
            None => (asked, None),
        };
        let is_kind = kind.contains('/');
        let is_meant = |description: &Description, device: &Described| match is_kind {
            true => {
                let named = wanted.is_none_or(|wanted| wanted == "*" || wanted == device.name);
                description.kind == kind && named
            }
            false => said(description, device, CLASS) == Some(asked),
        };
        let mut found = Vec::new();
        for (_, _, description) in &self.all {
            for device in description.devices.iter().filter(|own| is_meant(description, own)) {
                let name = format!("{}={}", description.kind, device.name);
                let is_free = said(description, device, FREE) == Some("true");
                // Two that are in conflict are none.
                if self.find(&name).is_some()
                    && !found.iter().any(|it: &Registered| it.name == name)
                {
                    found.push(Registered { name, is_free });
                }
            }
        }
        if is_kind && wanted.is_none() {
            found.truncate(1);
        }
        found
    }
}

/// What a device is annotated with, or all of its file.
fn said<'a>(description: &'a Description, device: &'a Described, key: &str) -> Option<&'a str> {
    let own = device.annotations.get(key).or_else(|| description.annotations.get(key));
    own.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_mean_one_or_many() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"{{"cdiVersion": "0.6.0", "kind": "vendor.com/card", "annotations": {{"{FREE}": "true"}},
                "devices": [{{"name": "b"}}, {{"name": "a", "annotations": {{"{CLASS}": "fast", "{FREE}": "false"}}}}]}}"#
        );
        std::fs::write(folder.path().join("card.json"), text).unwrap();
        let catalogue = Catalogue::read(&[folder.path()]);
        let check = |asked: &str, wanted: &[(&str, bool)]| {
            let found = catalogue.called(asked);
            let found: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.is_free)).collect();
            assert_eq!(found, wanted, "{asked}");
        };
        let (one, other) = (("vendor.com/card=b", true), ("vendor.com/card=a", false));
        check("vendor.com/card", &[one]);
        check("vendor.com/card=a", &[other]);
        check("vendor.com/card=*", &[one, other]);
        check("fast", &[other]);
        for none in ["slow", "vendor.com/card=c", "vendor.com/none", ""] {
            check(none, &[]);
        }
    }
}
