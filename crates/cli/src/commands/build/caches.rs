//! `--cache-from` and `--cache-to`, read.

use std::collections::BTreeMap;

use engine::{CacheAttributes, CachePlace, CacheTarget, LayerCoding, Packing};
use spec::parse_go_bool;

use super::flags::{fields, tag, wrong};
use crate::context::Context;
use crate::failure::Failure;

/// What a layout calls a cache unless somebody says otherwise.
const TAG: &str = "latest";

/// Variables of the environment, by their names.
type Environment = BTreeMap<String, String>;

/// All but GitHub's cache where no workflow runs, so that the same command works anywhere, as it does
/// with buildx.
pub(crate) fn usable(context: &Context, list: &[String]) -> Vec<String> {
    let has_token = context.variable("ACTIONS_RUNTIME_TOKEN").is_some_and(|it| !it.is_empty());
    let is_usable = |text: &&String| {
        let own = fields(text).unwrap_or_default();
        let is_there = own.get("type").is_none_or(|kind| kind != "gha")
            || has_token
            || own.contains_key("token");
        if !is_there {
            context.ui.warn(&format!(
                "WARNING: cache {} is passed over: there is no workflow's token",
                without_values(text)
            ));
        }
        is_there
    };
    list.iter().filter(is_usable).cloned().collect()
}

/// `--cache-from`.
pub(crate) fn sources(
    list: &[String],
    environment: &Environment,
) -> Result<Vec<CachePlace>, Failure> {
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
            _ => of.depot(environment)?,
        };
        of.done()?;
        places.push(place);
    }
    Ok(places)
}

/// `--cache-to`.
pub(crate) fn targets(
    list: &[String],
    environment: &Environment,
) -> Result<Vec<CacheTarget>, Failure> {
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
            _ => of.depot(environment)?,
        };
        let (all, packing) = (of.mode()?, of.packing()?);
        let ignore_error = of.switch("ignore-error")?.unwrap_or(false);
        // A cache is always an image's manifest in OCI's words.
        for (key, is) in [("image-manifest", true), ("oci-mediatypes", true)] {
            if of.switch(key)?.is_some_and(|asked| asked != is) {
                return Err(wrong(&of.shown(), &format!("{key}=false is not there"))
                    .hint("a cache is an image's manifest in OCI's words, as BuildKit writes it"));
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
        let pairs = "it must be fields of key=value with commas between them";
        let mut left = fields(text).map_err(|_| wrong(&without_values(text), pairs))?;
        let kind = left.remove("type");
        let kind =
            kind.ok_or_else(|| wrong(&without_values(text), "type is required for cache"))?;
        Ok(Attributes { text, kind, left })
    }

    /// The flag as messages may show it: keys to a bucket are in some.
    fn shown(&self) -> String {
        match self.kind.as_str() {
            "local" | "registry" | "inline" => self.text.to_owned(),
            _ => without_values(self.text),
        }
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.left.remove(key).filter(|value| !value.is_empty())
    }

    fn folder(&mut self, key: &str) -> Result<CachePlace, Failure> {
        let folder = self.take(key);
        let folder = folder.ok_or_else(|| wrong(&self.shown(), &format!("{key} is required")))?;
        let digest = match key {
            "src" => self.take("digest"),
            _ => None,
        };
        let is_wrong = digest.as_ref().is_some_and(|text| text.parse::<spec::Digest>().is_err());
        if is_wrong {
            return Err(wrong(&self.shown(), "digest is none"));
        }
        let tag = digest.or_else(|| self.take("tag")).unwrap_or_else(|| TAG.to_owned());
        Ok(CachePlace::Folder { folder: folder.into(), tag })
    }

    fn registry(&mut self) -> Result<CachePlace, Failure> {
        let name = self.take("ref").ok_or_else(|| wrong(&self.shown(), "ref is required"))?;
        tag(&name).map(CachePlace::Registry)
    }

    /// A bucket, or GitHub's cache.
    fn depot(&mut self, environment: &Environment) -> Result<CachePlace, Failure> {
        let of = CacheAttributes { left: &mut self.left, environment };
        match CachePlace::by_attributes(&self.kind, of) {
            Some(place) => place.map_err(|why| wrong(&self.shown(), &why)),
            None => Err(self.unknown()),
        }
    }

    fn switch(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let wrong = || wrong(&self.shown(), &format!("{key} is neither true nor false"));
        parse_go_bool(&value).map(Some).ok_or_else(wrong)
    }

    /// Whether all steps go, or only those of the image.
    fn mode(&mut self) -> Result<bool, Failure> {
        match self.take("mode").as_deref() {
            None | Some("min") => Ok(false),
            Some("max") if self.kind == "inline" => {
                Err(wrong(&self.shown(), "an image carries only its own steps: mode=min"))
            }
            Some("max") => Ok(true),
            Some(other) => Err(wrong(&self.shown(), &format!("mode {other:?} is not known"))),
        }
    }

    fn packing(&mut self) -> Result<Packing, Failure> {
        let coding = self.take("compression").map(|word| {
            let unknown = || wrong(&self.shown(), &format!("compression {word:?} is not known"));
            LayerCoding::parse(&word).ok_or_else(|| unknown().hint(LayerCoding::WORDS))
        });
        let compression = coding.transpose()?;
        let level = self.take("compression-level").map(|level| {
            let fits = |level: &i32| compression.unwrap_or(LayerCoding::Gzip).has_level(*level);
            let words = format!("compression-level={level} is no level of the compression");
            level.parse().ok().filter(fits).ok_or_else(|| wrong(&self.shown(), &words))
        });
        let level = level.transpose()?;
        let force = self.switch("force-compression")?.unwrap_or(false);
        Ok(Packing { compression, level, force, ..Packing::default() })
    }

    fn unknown(&self) -> Failure {
        let words = format!("this version of mica has no cache of type {:?}", self.kind);
        wrong(&self.shown(), &words).hint("types are local, registry, inline, s3, azblob and gha")
    }

    fn done(&self) -> Result<(), Failure> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(key) => {
                let words = format!("cache type {} has no {key}", self.kind);
                let failure = wrong(&self.shown(), &words);
                Err(match key.as_str() {
                    "registry.insecure" => failure.hint("name it among `insecure` in the settings"),
                    _ => failure.hint("docs/build.md lists what each type takes"),
                })
            }
        }
    }
}

/// A flag with nothing of what its fields hold but the type.
fn without_values(text: &str) -> String {
    let shown = |field: &str| match field.split_once('=') {
        Some((name, _)) if name.trim() != "type" => format!("{name}=…"),
        Some(_) => field.to_owned(),
        None => "…".to_owned(),
    };
    text.split(',').map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_sources(text: &str) -> Result<Vec<CachePlace>, Failure> {
        sources(&[text.to_owned()], &Environment::new())
    }

    fn read_targets(text: &str) -> Result<Vec<CacheTarget>, Failure> {
        targets(&[text.to_owned()], &Environment::new())
    }

    #[test]
    fn places_and_modes() {
        let source = |text: &str| read_sources(text).map(|mut list| list.remove(0));
        let folder = CachePlace::Folder { folder: "c".into(), tag: "latest".to_owned() };
        assert_eq!(source("type=local,src=c").unwrap(), folder);
        let CachePlace::Registry(name) = source("user/app:cache").unwrap() else { panic!() };
        assert_eq!(name.familiar(), "user/app:cache");
        assert_eq!(read_targets("type=inline").unwrap(), [CacheTarget::Inline]);
        let target = read_targets("type=local,dest=c,mode=max,compression=zstd").unwrap();
        let [CacheTarget::Place { place, all: true, packing, ignore_error: false }] = &target[..]
        else {
            panic!("{target:?}")
        };
        assert_eq!((place, packing.compression), (&folder, Some(LayerCoding::Zstd)));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let check = |text: &str, words: &str| {
            let source = read_sources(text).err();
            let failure = source.or_else(|| read_targets(text).err()).unwrap();
            assert!(failure.first_line().contains(words), "{text}: {failure:?}");
        };
        check("type=tape", "has no cache of type \"tape\"");
        check("type=gha", "token ($ACTIONS_RUNTIME_TOKEN) is required");
        check("type=s3,bucket=b", "region ($AWS_REGION) is required");
        check("type=s3,bucket=b,region=r,speed=1", "cache type s3 has no speed");
        check("type=local", "src is required");
        check("type=local,src=c,digest=sha256:1", "digest is none");
        check("type=registry", "ref is required");
        check("type=inline", "inline is where a cache goes");
        check("type=registry,ref=a,mode=half", "cache type registry has no mode");
        check("src=x", "type is required");
        for text in [
            "bucket=b,secret_access_key=hidden",
            "type=S3,secret_access_key=hidden",
            "type=s3,secret_access_key=hidden,hidden",
            "type=s3,\"secret_access_key=hidden",
            "type=registry,secret_access_key=a,\"hidden",
        ] {
            let failure = read_targets(text).err().unwrap();
            assert!(!failure.first_line().contains("hidden"), "{failure:?}");
        }
    }
}
