//! Lists of manifests that are made here and pushed: `manifest create`, `annotate`, `push`, `rm`.
//! Each is a file in a folder of the user's.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use registry::{Access, Client};
use serde::{Deserialize, Serialize};
use spec::{Annotations, Descriptor, Digest, Platform, Reference};

use super::combine::Combination;
use super::look::RemoteImage;
use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::sign::Policy;
use crate::whole::WholeFile;

/// The lists of a user.
pub struct ManifestLists {
    folder: PathBuf,
}

/// A list that was not pushed yet, or may be pushed again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestList {
    /// Its full name.
    pub name: Reference,
    /// Its images, in the order in which they were named.
    pub manifests: Vec<ListEntry>,
}

/// An image of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListEntry {
    /// The full name by which it was added.
    pub name: Reference,
    /// How the list will have it.
    pub descriptor: Descriptor,
}

impl ManifestLists {
    /// Those in a folder, which need not be there yet.
    pub fn new(folder: PathBuf) -> ManifestLists {
        ManifestLists { folder }
    }

    /// The list of a name, if there is one.
    pub fn find(&self, name: &Reference) -> Result<Option<ManifestList>> {
        let path = self.path(name);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EngineError::io("read", path)(error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                EngineError::Input(format!("{} is damaged: {error}", path.display()))
            }),
        }
    }

    /// The list of a name, which must be there.
    pub fn get(&self, name: &Reference) -> Result<ManifestList> {
        self.find(name)?.ok_or_else(|| EngineError::NoList(name.to_string()))
    }

    /// Makes a list of images that registries have, or adds them to one.
    pub fn create(
        &self,
        client: &Client,
        name: &Reference,
        images: &[Reference],
        amend: bool,
    ) -> Result<()> {
        let known = self.find(name)?;
        if known.is_some() && !amend {
            return Err(EngineError::ListExists(name.to_string()));
        }
        let empty = || ManifestList { name: name.clone(), manifests: Vec::new() };
        let mut list = known.unwrap_or_else(empty);
        for image in images {
            let remote = RemoteImage::open(client, image)?;
            if remote.document.media_type.is_index() {
                return Err(EngineError::IsList(image.to_string()));
            }
            list.manifests.retain(|entry| entry.name != *image);
            for entry in remote.images()? {
                let (name, descriptor) = (image.clone(), entry.descriptor);
                list.manifests.push(ListEntry { name, descriptor });
            }
        }
        self.keep(&list)
    }

    /// Changes what a list says of the platform of one of its images.
    pub fn annotate(
        &self,
        name: &Reference,
        image: &Reference,
        change: &dyn Fn(&mut Platform),
    ) -> Result<()> {
        let mut list = self.get(name)?;
        let entry = list.manifests.iter_mut().find(|entry| entry.name == *image);
        let missing = || EngineError::NotInList { list: name.to_string(), name: image.to_string() };
        let descriptor = &mut entry.ok_or_else(missing)?.descriptor;
        let platform = descriptor.platform.get_or_insert_with(Platform::host);
        change(platform);
        if !is_known(platform) {
            let Platform { os, architecture, .. } = platform;
            return Err(EngineError::OtherSystem(format!("{os}/{architecture}")));
        }
        self.keep(&list)
    }

    /// Pushes a list, and before it each of its images into the same repository. The policy says what
    /// may be taken out of another.
    pub fn push(
        &self,
        client: &Client,
        name: &Reference,
        policy: Option<&Policy>,
        progress: &dyn Progress,
    ) -> Result<Digest> {
        let list = self.get(name)?;
        if let Some(policy) = policy {
            list.judge(client, policy)?;
        }
        let combined = list.combined();
        combined.push(client, name, progress)?;
        Ok(combined.digest())
    }

    /// Forgets a list.
    pub fn remove(&self, name: &Reference) -> Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EngineError::NoList(name.to_string()))
            }
            Err(error) => Err(EngineError::io("remove", path)(error)),
        }
    }

    /// No name has a percent sign, so that no two have the same file.
    fn path(&self, name: &Reference) -> PathBuf {
        self.folder.join(format!("{}.json", name.to_string().replace('/', "%")))
    }

    fn keep(&self, list: &ManifestList) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(EngineError::io("create", &self.folder))?;
        let path = self.path(&list.name);
        let bytes = serde_json::to_vec_pretty(list).expect("a list is made of strings and numbers");
        let written = WholeFile::create(&path, 0o644).and_then(|whole| {
            whole.file().write_all(&bytes)?;
            whole.finish()
        });
        written.map_err(EngineError::io("write", path))
    }
}

/// The systems that docker lets a list name, each with what it runs on.
const PLATFORMS: [(&str, &str); 11] = [
    ("aix", "ppc64"),
    ("darwin", "386 amd64 arm arm64"),
    ("dragonfly", "amd64"),
    ("freebsd", "386 amd64 arm arm64"),
    (
        "linux",
        "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x",
    ),
    ("netbsd", "386 amd64 arm arm64"),
    ("openbsd", "386 amd64 arm arm64"),
    ("plan9", "386 amd64 arm"),
    ("solaris", "amd64"),
    ("wasip1", "wasm"),
    ("windows", "386 amd64 arm arm64"),
];

fn is_known(platform: &Platform) -> bool {
    let runs_on = PLATFORMS.iter().find(|(os, _)| *os == platform.os).map(|(_, all)| *all);
    runs_on.is_some_and(|all| all.split(' ').any(|one| one == platform.architecture))
}

impl ManifestList {
    /// Refuses the images of other repositories that the policy does not let in.
    fn judge(&self, client: &Client, policy: &Policy) -> Result<()> {
        let home = self.name.name();
        for ListEntry { name, descriptor } in &self.manifests {
            if name.name() != home {
                let repository = client.repository(name, Access::Pull)?;
                policy.judge(&repository, name, [descriptor.digest])?;
            }
        }
        Ok(())
    }

    /// The document that is pushed.
    pub fn combined(&self) -> Combination {
        let entries = self.manifests.iter();
        let entries = entries.map(|entry| (entry.name.clone(), entry.descriptor.clone()));
        Combination::of(entries.collect(), Annotations::new())
    }
}
