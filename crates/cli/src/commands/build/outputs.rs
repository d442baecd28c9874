//! `--output`, `--push`, `--load` and `--annotation`, read.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use engine::{
    Annotation, AnnotationPlace, ArchiveForm, EngineError, FilesTarget, LayerCoding, Naming,
    Output, Packing, Push, SaveTarget, Types,
};
use spec::{Platform, Reference, parse_go_bool};

use super::flags::{DELETE, wrong};
use crate::args::split_values;
use crate::commands::bake::taken::real;
use crate::failure::Failure;

/// What the flags say about where a result goes.
pub(crate) struct Asked<'a> {
    /// `--output`.
    pub(crate) outputs: &'a [String],
    /// `--push`.
    pub(crate) push: bool,
    /// `--load`.
    pub(crate) load: bool,
    /// `--tag`.
    pub(crate) names: Vec<Reference>,
    /// `--annotation`.
    pub(crate) annotations: &'a [String],
}

impl Asked<'_> {
    /// Where it goes; without a word about it, into the image store.
    pub(crate) fn read(&self) -> Result<Vec<Output>, Failure> {
        let mut outputs = Vec::new();
        for text in self.outputs.iter().filter(|text| !text.is_empty()) {
            outputs.push(output(text)?);
        }
        let image = |push| {
            let (names, packing, naming) = Default::default();
            Output::Image { names, push, packing, naming }
        };
        if self.push {
            let mut pushed = false;
            for output in &mut outputs {
                if let Output::Image { push, .. } = output {
                    *push = if *push == Push::No { Push::ByName } else { *push };
                    pushed = true;
                }
            }
            if !pushed {
                outputs.push(image(Push::ByName));
            }
        }
        let is_image = |output: &Output| matches!(output, Output::Image { .. });
        if outputs.is_empty() || self.load && !outputs.iter().any(is_image) {
            outputs.push(image(Push::No));
        }
        let said = self.annotations.iter().map(|text| annotation(text));
        let said = said.collect::<Result<Vec<_>, _>>()?.concat();
        for output in &mut outputs {
            let (Output::Image { names, packing, .. } | Output::Archive { names, packing, .. }) =
                output
            else {
                continue;
            };
            if !self.names.is_empty() {
                names.clone_from(&self.names);
            }
            packing.annotations.extend(said.iter().cloned());
        }
        Ok(outputs)
    }
}

/// Refuses to empty folders that do not lie below this one, unless that is allowed. The others are
/// named as they are reached without links: an output may put links on the way.
pub(crate) fn check_mirrors(outputs: &mut [Output], allowed: &[String]) -> Result<(), Failure> {
    let is_allowed = allowed.iter().any(|one| one == DELETE);
    let here = real(Path::new("."))?;
    for output in outputs {
        let Output::Files { target: FilesTarget::Mirror(path), .. } = output else { continue };
        *path = real(path)?;
        if !is_allowed && (*path == here || !path.starts_with(&here)) {
            let words = format!("ERROR: mode=delete removes all else in {}", path.display());
            let hint = format!("--allow {DELETE} lets it do so outside of subfolders of this one");
            return Err(Failure::new(words).hint(hint));
        }
    }
    Ok(())
}

/// The attributes of one `--output`, each taken once; what is left over nobody understood.
struct Attributes<'a> {
    text: &'a str,
    left: BTreeMap<String, String>,
}

/// `type=…,key=value…`, or just where files go.
fn output(text: &str) -> Result<Output, Failure> {
    let fields = split_values(text).map_err(|error| wrong(text, &error.to_string()))?;
    if fields == [text] && !text.starts_with("type=") {
        let target = match text {
            "-" => FilesTarget::Stream(stdout("tar")?),
            path => FilesTarget::Folder(PathBuf::from(path)),
        };
        return Ok(Output::Files { target, split: None, prefix: String::new() });
    }
    let mut left = BTreeMap::new();
    for field in &fields {
        let pair = field.split_once('=');
        let (key, value) =
            pair.ok_or_else(|| wrong(text, &format!("{field:?} must be a key=value pair")))?;
        let key = if key.starts_with("annotation") { key.to_owned() } else { key.to_lowercase() };
        left.insert(key.trim().to_owned(), value.to_owned());
    }
    let mut of = Attributes { text, left };
    let kind = of.take("type").ok_or_else(|| wrong(text, "type is required for output"))?;
    let output = of.output(&kind)?;
    match of.left.keys().next() {
        None => Ok(output),
        Some(key) => {
            Err(wrong(text, &format!("output type {kind} has no {key}"))
                .hint(known_attributes(&kind)))
        }
    }
}

impl Attributes<'_> {
    fn take(&mut self, key: &str) -> Option<String> {
        self.left.remove(key).filter(|value| !value.is_empty())
    }

    fn switch(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let wrong = || wrong(self.text, &format!("{key}={value} is neither true nor false"));
        parse_go_bool(&value).map(Some).ok_or_else(wrong)
    }

    /// What the names of files begin with that tell of images.
    fn prefix(&mut self) -> String {
        self.take("attestation-prefix").unwrap_or_default()
    }

    fn output(&mut self, kind: &str) -> Result<Output, Failure> {
        match kind {
            "local" => {
                let split = self.switch("platform-split")?;
                let mode = self.take("mode");
                let dest = self.take("dest");
                let dest =
                    dest.ok_or_else(|| wrong(self.text, "dest is required for local output"))?;
                let target = match mode.as_deref() {
                    None | Some("copy") => FilesTarget::Folder(dest.into()),
                    Some("delete") => FilesTarget::Mirror(dest.into()),
                    Some(other) => {
                        return Err(wrong(self.text, &format!("mode={other} is not there")).hint(
                            "mode=copy leaves what else is in the folder, mode=delete does not",
                        ));
                    }
                };
                Ok(Output::Files { target, split, prefix: self.prefix() })
            }
            "tar" => {
                let split = self.switch("platform-split")?;
                let target = match self.take("dest").as_deref() {
                    None | Some("-") => FilesTarget::Stream(stdout("tar")?),
                    Some(path) => FilesTarget::Tar(path.into()),
                };
                Ok(Output::Files { target, split, prefix: self.prefix() })
            }
            "image" | "registry" | "moby" => {
                let push = self.push(kind == "registry")?;
                // What is kept here can be run at once.
                self.switch("unpack")?;
                if self.switch("store")? == Some(false) {
                    return Err(wrong(
                        self.text,
                        "store=false is not there: what is built is kept",
                    )
                    .hint("type=oci leaves nothing in the store, type=cacheonly no image"));
                }
                let naming = self.naming()?;
                Ok(Output::Image { names: self.names()?, push, packing: self.packing()?, naming })
            }
            "docker" | "oci" => self.archive(kind),
            "cacheonly" => Ok(Output::Nothing),
            other => Err(wrong(self.text, &format!("output type {other:?} is not known"))
                .hint("types are local, tar, oci, docker, image, registry and cacheonly")),
        }
    }

    fn archive(&mut self, kind: &str) -> Result<Output, Failure> {
        let is_docker = kind == "docker";
        let form = if is_docker { ArchiveForm::Docker } else { ArchiveForm::Oci };
        let is_tar = self.switch("tar")?.unwrap_or(true);
        let (names, packing) = (self.names()?, self.packing()?);
        let target = match (self.take("dest"), is_tar) {
            (None, _) if is_docker => {
                let (push, naming) = Default::default();
                return Ok(Output::Image { names, push, packing, naming });
            }
            (None, true) => SaveTarget::Stream(stdout(kind)?),
            (Some(dest), true) if dest == "-" => SaveTarget::Stream(stdout(kind)?),
            (Some(dest), true) => SaveTarget::File(dest.into()),
            (Some(dest), false) => SaveTarget::Layout(dest.into()),
            (None, false) => {
                return Err(wrong(self.text, "dest is required for a layout in a folder"));
            }
        };
        Ok(Output::Archive { names, form, target, packing })
    }

    fn push(&mut self, always: bool) -> Result<Push, Failure> {
        let push = self.switch("push")?.unwrap_or(always);
        let by_digest = self.switch("push-by-digest")?.unwrap_or(false);
        Ok(match (push, by_digest) {
            (false, _) => Push::No,
            (true, false) => Push::ByName,
            (true, true) => Push::ByDigest,
        })
    }

    fn names(&mut self) -> Result<Vec<Reference>, Failure> {
        let list = self.take("name").unwrap_or_default();
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(super::flags::tag).collect()
    }

    fn naming(&mut self) -> Result<Naming, Failure> {
        let prefix = self.take("dangling-name-prefix");
        let dangling = prefix.map(|text| super::flags::tag(&text)).transpose()?;
        Ok(Naming {
            insecure: self.switch("registry.insecure")?.unwrap_or(false),
            canonical: self.switch("name-canonical")?.unwrap_or(false),
            dangling,
        })
    }

    fn packing(&mut self) -> Result<Packing, Failure> {
        let word = self.take("compression");
        let coding = word.map(|word| match word.as_str() {
            "none" => Ok(LayerCoding::Plain),
            word => LayerCoding::parse(word).ok_or_else(|| {
                let words = format!("compression {word:?} is not known");
                wrong(self.text, &words).hint(LayerCoding::WORDS)
            }),
        });
        let coding = coding.transpose()?;
        let level = self.take("compression-level");
        let level = level.map(|level| {
            let fits = |level: &i32| coding.unwrap_or(LayerCoding::Gzip).has_level(*level);
            let number = level.parse().ok().filter(fits);
            number
                .ok_or_else(|| wrong(self.text, &format!("compression-level={level} is too much")))
        });
        let oci = self.switch("oci-mediatypes")?;
        // No time in what a build made is later than the epoch anyway.
        self.switch("rewrite-timestamp")?;
        Ok(Packing {
            compression: coding,
            level: level.transpose()?,
            force: self.switch("force-compression")?.unwrap_or(false),
            types: oci.map(|oci| if oci { Types::Oci } else { Types::Docker }),
            annotations: self.annotations()?,
            artifact: self.switch("oci-artifact")?.unwrap_or(false),
        })
    }

    /// `annotation.KEY=VALUE`, and the same with a place between.
    fn annotations(&mut self) -> Result<Vec<Annotation>, Failure> {
        let keys: Vec<String> =
            self.left.keys().filter(|key| key.starts_with("annotation")).cloned().collect();
        let mut list = Vec::new();
        for name in keys {
            let value = self.left.remove(&name).unwrap_or_default();
            let (place, key) = name
                .split_once('.')
                .ok_or_else(|| wrong(self.text, &format!("{name:?} names no annotation")))?;
            let place = place.strip_prefix("annotation").unwrap_or(place);
            let place = place.strip_prefix('-').unwrap_or(place);
            let (place, platform) = place_of(place).map_err(|why| wrong(self.text, &why))?;
            list.push(Annotation { place, platform, key: key.to_owned(), value });
        }
        Ok(list)
    }
}

/// What a way out may be told, for whoever named something else.
fn known_attributes(kind: &str) -> &'static str {
    match kind {
        "local" => "there are dest, mode, platform-split and attestation-prefix",
        "tar" => "there are dest, platform-split and attestation-prefix",
        "cacheonly" => "there is nothing to say about it",
        "docker" | "oci" => {
            "there are dest, name, tar, compression, compression-level, force-compression, \
             oci-mediatypes, oci-artifact, rewrite-timestamp and annotation.KEY"
        }
        _ => {
            "there are name, push, push-by-digest, registry.insecure, dangling-name-prefix, \
             name-canonical, unpack, store, compression, compression-level, force-compression, \
             oci-mediatypes, oci-artifact, rewrite-timestamp and annotation.KEY"
        }
    }
}

/// `KEY=VALUE`, perhaps after `PLACE[,PLACE]:`: one for each place.
fn annotation(text: &str) -> Result<Vec<Annotation>, Failure> {
    let wrong = |why: &str| {
        Failure::new(format!("ERROR: invalid annotation {text:?}: {why}"))
            .hint("write key=value, manifest:key=value or index:key=value")
    };
    let (name, value) = text.split_once('=').ok_or_else(|| wrong("expected key=value"))?;
    let (places, key) = name.split_once(':').unwrap_or(("", name));
    if key.is_empty() {
        return Err(wrong("it has no key"));
    }
    let at = |place| {
        let (place, platform) = place_of(place).map_err(|why| wrong(&why))?;
        Ok(Annotation { place, platform, key: key.to_owned(), value: value.to_owned() })
    };
    places.split(',').map(at).collect()
}

/// `manifest`, `index`, and either with `-descriptor`; one platform's in brackets.
fn place_of(text: &str) -> Result<(AnnotationPlace, Option<Platform>), String> {
    let (word, platform) = match text.split_once('[') {
        Some((word, rest)) => (word, Some(rest.strip_suffix(']').ok_or("a bracket is open")?)),
        None => (text, None),
    };
    let platform = platform.map(|text| Platform::parse(text).map_err(|error| error.to_string()));
    let place = match word {
        "" | "manifest" => AnnotationPlace::Manifest,
        "manifest-descriptor" => AnnotationPlace::ManifestDescriptor,
        "index" => AnnotationPlace::Index,
        "index-descriptor" => AnnotationPlace::IndexDescriptor,
        other => return Err(format!("{other:?} is no place of an annotation")),
    };
    Ok((place, platform.transpose()?))
}

/// Standard output, unless somebody would see bytes on a terminal.
fn stdout(kind: &str) -> Result<File, Failure> {
    let stdout = std::io::stdout();
    if std::io::IsTerminal::is_terminal(&stdout) {
        let words =
            format!("dest file is required for {kind} exporter: refusing to write to console");
        return Err(Failure::new(format!("ERROR: {words}")));
    }
    let own = stdout.as_fd().try_clone_to_owned();
    Ok(File::from(own.map_err(EngineError::io("write to", "standard output"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One output in a few words, or why it is none.
    fn shown(text: &str) -> String {
        let packed = |packing: &Packing| match packing == &Packing::default() {
            true => String::new(),
            false => format!(" {:?}", packing.compression),
        };
        let named = |names: &[Reference]| -> String {
            names.iter().map(|name| format!(" {}", name.familiar())).collect()
        };
        match output(text) {
            Err(failure) => failure.first_line().to_owned(),
            Ok(Output::Nothing) => "nothing".to_owned(),
            Ok(Output::Image { names, push, packing, naming }) => {
                let naming = match naming == Naming::default() {
                    true => String::new(),
                    false => format!(" {naming:?}"),
                };
                format!("image {push:?}{}{}{naming}", named(&names), packed(&packing))
            }
            Ok(Output::Archive { names, form, target, packing }) => {
                let target = match target {
                    SaveTarget::File(path) => format!("file {}", path.display()),
                    SaveTarget::Layout(path) => format!("layout {}", path.display()),
                    _ => "elsewhere".to_owned(),
                };
                format!("{form:?} {target}{}{}", named(&names), packed(&packing))
            }
            Ok(Output::Files { target, split, .. }) => match target {
                FilesTarget::Folder(path) => format!("folder {} {split:?}", path.display()),
                FilesTarget::Mirror(path) => format!("mirror {} {split:?}", path.display()),
                FilesTarget::Tar(path) => format!("tar {} {split:?}", path.display()),
                FilesTarget::Stream(_) => "stream".to_owned(),
            },
        }
    }

    #[track_caller]
    fn check(text: &str, wanted: &str) {
        let shown = shown(text);
        assert!(shown.contains(wanted), "{text}: {shown}");
    }

    #[test]
    fn types_and_short_forms() {
        check("out", "folder out None");
        check("a=b", "folder a=b None");
        check("type=local,dest=out,platform-split=false", "folder out Some(false)");
        check("type=local,dest=x,attestation-prefix=y-", "folder x None");
        check("type=local", "dest is required");
        check("type=local,dest=x,mode=copy", "folder x None");
        check("type=local,dest=x,mode=delete", "mirror x None");
        check("type=local,dest=x,mode=backup", "mode=backup is not there");
        check("type=tar,dest=x.tar", "tar x.tar None");
        check("type=oci,dest=x.tar,name=a:1", "Oci file x.tar a:1");
        check("type=oci,dest=x,tar=false", "Oci layout x");
        check("type=docker", "image No");
        check("type=docker,dest=x.tar,compression=zstd", "Docker file x.tar Some(Zstd)");
        check("type=image,name=a,push=true", "image ByName a");
        check("\"type=image,name=a,b\",push=true", "is not known");
        check("type=image,\"name=a,b\",push=true", "image ByName a:latest b:latest");
        check("type=registry,name=a,push-by-digest=true", "image ByDigest a:latest");
        check("type=cacheonly", "nothing");
    }

    #[test]
    fn yes_has_all_of_gos_words() {
        for yes in ["1", "t", "T", "true", "TRUE", "True"] {
            check(&format!("type=image,name=a,push={yes}"), "image ByName a");
            check(&format!("type=image,name=a,registry.insecure={yes}"), "insecure: true");
        }
        for no in ["0", "f", "F", "false", "FALSE", "False"] {
            check(&format!("type=registry,name=a,push={no}"), "image No a");
        }
        for neither in ["yes", "tRUE", "on"] {
            check(&format!("type=image,name-canonical={neither}"), "neither true nor false");
        }
        check("type=image,name-canonical=T", "canonical: true");
        check("type=image,unpack=1,store=T", "image No");
        check("type=image,store=0", "store=false is not there");
        check("type=image,dangling-name-prefix=moby/dangling", "dangling: Some(");
        check("type=image,dangling-name-prefix=No Name", "invalid tag");
    }

    #[test]
    fn folders_are_emptied_below_this_one_alone() {
        let mirror = |path: &str| {
            let target = FilesTarget::Mirror(path.into());
            [Output::Files { target, split: None, prefix: String::new() }]
        };
        let allowed = [DELETE.to_owned()];
        assert!(check_mirrors(&mut mirror("new/folder"), &[]).is_ok());
        for path in [".", "..", "/", "/tmp", "../beside"] {
            assert!(check_mirrors(&mut mirror(path), &[]).is_err(), "{path}");
            assert!(check_mirrors(&mut mirror(path), &allowed).is_ok(), "{path}");
        }
        // What was looked at is what is emptied.
        let mut outputs = mirror("../beside");
        check_mirrors(&mut outputs, &allowed).unwrap();
        let Output::Files { target: FilesTarget::Mirror(path), .. } = &outputs[0] else { panic!() };
        assert_eq!(*path, real(Path::new("../beside")).unwrap());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        check("type=zip,dest=x", "output type \"zip\" is not known");
        check("type=oci,dest=x,sparkle=yes", "output type oci has no sparkle");
        check("type=image,compression=estargz", "compression \"estargz\" is not known");
        check("type=image,compression-level=12", "compression-level=12 is too much");
        check("type=image,push=maybe", "neither true nor false");
        check("dest=x,y=z", "type is required");
    }

    #[test]
    fn annotations_have_places() {
        let check = |text: &str, place, platform: Option<&str>, key: &str| {
            let [one] = annotation(text).unwrap().try_into().unwrap();
            let Annotation { place: at, platform: of, key: name, value } = one;
            let platform = platform.map(|text| Platform::parse(text).unwrap());
            assert_eq!((at, of, name.as_str()), (place, platform, key), "{text}");
            assert_eq!(value, "v=1");
        };
        check("k=v=1", AnnotationPlace::Manifest, None, "k");
        check("index:k=v=1", AnnotationPlace::Index, None, "k");
        let arm = Some("linux/arm64");
        check("manifest[linux/arm64]:k=v=1", AnnotationPlace::Manifest, arm, "k");
        let both = annotation("manifest,index-descriptor:k=v").unwrap();
        let places: Vec<AnnotationPlace> = both.iter().map(|one| one.place).collect();
        assert_eq!(places, [AnnotationPlace::Manifest, AnnotationPlace::IndexDescriptor]);
        for text in ["k", "shelf:k=v", "manifest[linux:k=v", "index:=v"] {
            assert!(annotation(text).is_err(), "{text}");
        }
        let of = output("type=image,annotation.k=1,annotation-manifest[linux/arm64].K=2").unwrap();
        let Output::Image { packing, .. } = of else { panic!("it is no image") };
        let keys: Vec<&str> = packing.annotations.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["K", "k"]);
    }

    #[test]
    fn flags_are_short_for_outputs() {
        let kinds = |outputs: &[&str], push, load| -> Vec<String> {
            let outputs: Vec<String> = outputs.iter().map(|text| (*text).to_owned()).collect();
            let names = vec![Reference::parse("n:1").unwrap()];
            let asked = Asked { outputs: &outputs, push, load, names, annotations: &[] };
            let kind = |output: &Output| match output {
                Output::Image { names, push, .. } => format!("{push:?} {}", names[0].familiar()),
                Output::Archive { names, .. } => format!("archive {}", names[0].familiar()),
                _ => "files".to_owned(),
            };
            asked.read().unwrap().iter().map(kind).collect()
        };
        assert_eq!(kinds(&[], false, false), ["No n:1"]);
        assert_eq!(kinds(&[], true, true), ["ByName n:1"]);
        assert_eq!(kinds(&["out"], false, false), ["files"]);
        assert_eq!(kinds(&["out"], true, false), ["files", "ByName n:1"]);
        assert_eq!(kinds(&["type=oci,dest=x,name=m"], false, true), ["archive n:1", "No n:1"]);
        assert_eq!(kinds(&["type=image,name=m"], true, false), ["ByName n:1"]);
    }
}
