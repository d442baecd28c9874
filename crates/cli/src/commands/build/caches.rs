//! `--cache-from` and `--cache-to`, read.

use std::collections::BTreeMap;

use engine::{CachePlace, CacheTarget, Packing};
use spec::Compression;

use super::flags::{fields, tag, wrong};
use crate::failure::Failure;

/// What a layout calls a cache unless somebody says otherwise.
const TAG: &str = "latest";

/// `--cache-from`.
pub(crate) fn sources(list: &[String]) -> Result<Vec<CachePlace>, Failure> {
    let mut places = Vec::new();
    for text in list.iter().filter(|text| !text.is_empty()) {
        let mut of = Attributes::read(text)?;
        let place = match of.kind.as_str() {
            "local" => of.folder("src")?,
            "registry" => of.registry()?,
            "inline" => {
                return Err(wrong(text, "inline is where a cache goes, not where it comes from")
                    .hint("--cache-from type=registry,ref=IMAGE reads what an image carries"));
            }
            _ => return Err(of.unknown()),
        };
        of.done()?;
        places.push(place);
    }
    Ok(places)
}

/// `--cache-to`.
pub(crate) fn targets(list: &[String]) -> Result<Vec<CacheTarget>, Failure> {
    let mut targets = Vec::new();
    for text in list.iter().filter(|text| !text.is_empty()) {
        let mut of = Attributes::read(text)?;
        let place = match of.kind.as_str() {
            "inline" => {
                of.mode()?;
                of.done()?;
                targets.push(CacheTarget::Inline);
                continue;
            }
            "local" => of.folder("dest")?,
            "registry" => of.registry()?,
            _ => return Err(of.unknown()),
        };
        let (all, packing) = (of.mode()?, of.packing()?);
        let ignore_error = of.switch("ignore-error")?.unwrap_or(false);
        // A cache is always an image's manifest in OCI's words.
        for (key, is) in [("image-manifest", true), ("oci-mediatypes", true)] {
            if of.switch(key)?.is_some_and(|asked| asked != is) {
                return Err(wrong(text, &format!("{key}=false is not there")));
            }
        }
        of.done()?;
        targets.push(CacheTarget::Place { place, all, packing, ignore_error });
    }
    Ok(targets)
}

/// The attributes of one flag, each taken once.
struct Attributes<'a> {
    text: &'a str,
    kind: String,
    left: BTreeMap<String, String>,
}

impl<'a> Attributes<'a> {
    /// A name alone is that of a registry's.
    fn read(text: &'a str) -> Result<Attributes<'a>, Failure> {
        if !text.contains('=') {
            let left = [("ref".to_owned(), text.to_owned())].into();
            return Ok(Attributes { text, kind: "registry".to_owned(), left });
        }
        let mut left = fields(text)?;
        let kind = left.remove("type").ok_or_else(|| wrong(text, "type is required for cache"))?;
        Ok(Attributes { text, kind, left })
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.left.remove(key).filter(|value| !value.is_empty())
    }

    fn folder(&mut self, key: &str) -> Result<CachePlace, Failure> {
        let folder = self.take(key);
        let folder = folder.ok_or_else(|| wrong(self.text, &format!("{key} is required")))?;
        let tag = self.take("tag").unwrap_or_else(|| TAG.to_owned());
        Ok(CachePlace::Folder { folder: folder.into(), tag })
    }

    fn registry(&mut self) -> Result<CachePlace, Failure> {
        let name = self.take("ref").ok_or_else(|| wrong(self.text, "ref is required"))?;
        tag(&name).map(CachePlace::Registry)
    }

    fn switch(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(wrong(self.text, &format!("{key} is neither true nor false"))),
        }
    }

    /// Whether all steps go, or only those of the image.
    fn mode(&mut self) -> Result<bool, Failure> {
        match self.take("mode").as_deref() {
            None | Some("min") => Ok(false),
            Some("max") if self.kind == "inline" => {
                Err(wrong(self.text, "an image carries only its own steps: mode=min"))
            }
            Some("max") => Ok(true),
            Some(other) => Err(wrong(self.text, &format!("mode {other:?} is not known"))),
        }
    }

    fn packing(&mut self) -> Result<Packing, Failure> {
        let compression = match self.take("compression").as_deref() {
            None => None,
            Some("uncompressed") => Some(Compression::None),
            Some("gzip") => Some(Compression::Gzip),
            Some("zstd") => Some(Compression::Zstd),
            Some(other) => {
                return Err(wrong(self.text, &format!("compression {other:?} is not known")));
            }
        };
        let level = self.take("compression-level").map(|level| level.parse());
        let level =
            level.transpose().map_err(|_| wrong(self.text, "compression-level is no number"))?;
        let force = self.switch("force-compression")?.unwrap_or(false);
        Ok(Packing { compression, level, force, ..Packing::default() })
    }

    fn unknown(&self) -> Failure {
        let words = format!("this version of mica has no cache of type {:?}", self.kind);
        wrong(self.text, &words).hint("types are local, registry and inline")
    }

    fn done(&self) -> Result<(), Failure> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(key) => Err(wrong(self.text, &format!("cache type {} has no {key}", self.kind))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn places_and_modes() {
        let source = |text: &str| sources(&list(text)).map(|mut list| list.remove(0));
        let folder = CachePlace::Folder { folder: "c".into(), tag: "latest".to_owned() };
        assert_eq!(source("type=local,src=c").unwrap(), folder);
        let CachePlace::Registry(name) = source("user/app:cache").unwrap() else { panic!() };
        assert_eq!(name.familiar(), "user/app:cache");
        assert_eq!(targets(&list("type=inline")).unwrap(), [CacheTarget::Inline]);
        let target = targets(&list("type=local,dest=c,mode=max,compression=zstd")).unwrap();
        let [CacheTarget::Place { place, all: true, packing, ignore_error: false }] = &target[..]
        else {
            panic!("{target:?}")
        };
        assert_eq!((place, packing.compression), (&folder, Some(Compression::Zstd)));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let check = |text: &str, words: &str| {
            let source = sources(&list(text)).err();
            let failure = source.or_else(|| targets(&list(text)).err()).unwrap();
            assert!(failure.first_line().contains(words), "{text}: {failure:?}");
        };
        check("type=gha", "has no cache of type \"gha\"");
        check("type=s3,bucket=b", "has no cache of type \"s3\"");
        check("type=local", "src is required");
        check("type=registry", "ref is required");
        check("type=inline", "inline is where a cache goes");
        check("type=registry,ref=a,mode=half", "cache type registry has no mode");
        check("src=x", "type is required");
    }
}
