//! A store of its own for one test, and file systems that are gone when the test is, also when it
//! fails.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::folder::Ownership;
use image::layer::LayerLimits;
use spec::{ChainId, Digest, ImageId, Platform};
use store::{
    DriverKind, Expected, ImageRecord, LayerRecord, Layers, Lease, NameRecord, Settings, Store,
    StoreError, Tables,
};
use tempfile::TempDir;

use crate::layer::Layer;
use crate::tree::Tree;

/// A store in a folder of its own.
pub struct Scratch {
    /// The store.
    pub store: Store,
    settings: Settings,
    /// Keeps the folder, and what is mounted in it, for as long as the store.
    place: Mounted,
}

/// A temporary folder, perhaps with a file system of its own; everything mounted in it goes first
/// when it goes.
pub struct Mounted {
    folder: TempDir,
    /// The folder, or the root of the file system in it.
    path: PathBuf,
}

/// So much room is wanted: containers often have no more than 64 MB there.
const MEMORY_BYTES: u64 = 1 << 30;

/// A folder in memory, if there is room.
pub fn folder_in_memory() -> Option<TempDir> {
    let memory = Path::new("/dev/shm");
    let (free, _) = sys::fs::space(memory).ok()?;
    let folder = tempfile::Builder::new().prefix("mica-test-").tempdir_in(memory);
    folder.ok().filter(|_| free >= MEMORY_BYTES)
}

impl Mounted {
    /// A folder in memory where there is room, else on disk.
    pub fn folder() -> Mounted {
        match folder_in_memory() {
            Some(memory) => Mounted::within(memory),
            None => Mounted::on_disk(),
        }
    }

    /// A folder on disk: a file system in memory cannot hold images that are mounted from a file.
    pub fn on_disk() -> Mounted {
        let folder = tempfile::Builder::new().prefix("mica-test-").tempdir();
        Mounted::within(folder.expect("a temporary folder can be made"))
    }

    fn within(folder: TempDir) -> Mounted {
        Mounted { path: folder.path().to_owned(), folder }
    }

    /// A file system in memory of so many bytes. Needs root.
    pub fn tmpfs(bytes: u64) -> Mounted {
        let mounted = Mounted::folder();
        let options = std::ffi::CString::new(format!("size={bytes},mode=0755")).expect("no NUL");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", mounted.path(), "tmpfs", flags, Some(options.as_c_str()))
            .expect("root may mount a tmpfs");
        mounted
    }

    /// A file system made by `mkfs` in a file of so many bytes, or why there is none.
    pub fn image(mkfs: &[&str], bytes: u64) -> Result<Mounted, String> {
        let mut place = Mounted::folder();
        let (file, target) = (place.path.join("image"), place.path.join("mounted"));
        let made = fs::File::create(&file).and_then(|file| file.set_len(bytes));
        made.and_then(|()| fs::create_dir(&target)).map_err(|error| error.to_string())?;
        run(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&file))?;
        run(Command::new("mount").args(["-o", "loop"]).args([&file, &target]))?;
        place.path = target;
        Ok(place)
    }

    /// Where to put things: in the file system, if it has one of its own.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Runs a program of the system, or says what it said.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Deepest and latest first; a mount that somebody still uses is taken out of sight.
        for target in mounts_below(self.folder.path()).into_iter().rev() {
            let _ = sys::mount::detach(&target);
        }
    }
}

/// Where something is mounted at or below a path, in the order in which it was mounted.
fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let targets = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    targets.filter(|target| target.starts_with(path)).collect()
}

impl Scratch {
    /// A store with the driver that it would choose itself.
    pub fn new() -> Scratch {
        Scratch::build(Mounted::on_disk(), |_| {}).expect("a store can be made")
    }

    /// A store with this driver, or why there is none here.
    pub fn with_driver(kind: DriverKind) -> Result<Scratch, String> {
        let place = match kind.as_str() {
            "btrfs" => Mounted::image(&["mkfs.btrfs", "-q"], 512 << 20)?,
            "erofs" => Mounted::on_disk(),
            _ => Mounted::folder(),
        };
        match Scratch::build(place, |settings| settings.driver = Some(kind)) {
            Err(StoreError::DriverUnfit { why, .. }) => Err(why),
            Err(error) => panic!("no store with the {kind} driver: {error:?}"),
            Ok(scratch) => Ok(scratch),
        }
    }

    /// A store in this place, with its settings changed by `change`.
    pub fn build(place: Mounted, change: impl FnOnce(&mut Settings)) -> store::Result<Scratch> {
        let folder = place.path();
        let mut settings = Settings {
            root: folder.join("root"),
            run: folder.join("run"),
            driver: None,
            owners: Ownership::default(),
            limits: LayerLimits::default(),
        };
        change(&mut settings);
        Ok(Scratch { store: Store::open(settings.clone())?, settings, place })
    }

    /// The same store, opened once more, as another process would.
    pub fn open_again(&self) -> Store {
        Store::open(self.settings.clone()).expect("a store that is there can be opened")
    }

    /// What the store was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The folder that everything of this test lies in.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Where something is mounted below the store, in the order in which it was mounted.
    pub fn mounts(&self) -> Vec<PathBuf> {
        mounts_below(self.path())
    }

    /// Brings a stack of tars in, bottom first, without an image on it.
    pub fn load(
        &self,
        lease: &Lease,
        tars: &[Vec<u8>],
    ) -> store::Result<(Option<ChainId>, Layers)> {
        let mut layers = self.store.tables()?.layers;
        let mut parent = None;
        for tar in tars {
            let mut source = tar.as_slice();
            let unpacked = self.store.unpack_layer(lease, &mut source, Expected::default())?;
            let (chain, record) = self.store.adopt_layer(lease, unpacked, parent, &layers)?;
            layers.layers.insert(chain, record);
            parent = Some(chain);
        }
        Ok((parent, layers))
    }

    /// Brings a stack in and records it.
    pub fn add_tars(&self, tars: &[Vec<u8>]) -> store::Result<Option<ChainId>> {
        let lease = self.store.lease()?;
        let (top, layers) = self.load(&lease, tars)?;
        self.store.change::<_, StoreError>(|tables| {
            add_layers(tables, &layers);
            Ok(())
        })?;
        Ok(top)
    }

    /// Brings an image in, under a name, and gives its id and its topmost layer.
    pub fn add_image(
        &self,
        name: &str,
        tars: &[Vec<u8>],
    ) -> store::Result<(ImageId, Option<ChainId>)> {
        let lease = self.store.lease()?;
        let (top, layers) = self.load(&lease, tars)?;
        let id = self.publish(&lease, name, top, &layers)?;
        Ok((id, top))
    }

    /// Makes an image of a stack that was loaded, with a configuration that names its layers.
    pub fn publish(
        &self,
        lease: &Lease,
        name: &str,
        top: Option<ChainId>,
        layers: &Layers,
    ) -> store::Result<ImageId> {
        let stack = layers.stack(top)?;
        let diffs: Vec<_> = stack.iter().map(|(_, record)| record.diff.to_string()).collect();
        let platform = Platform::host();
        let config = serde_json::json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {"Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        });
        let bytes = serde_json::to_vec(&config).expect("it has only string keys");
        let id = ImageId(self.store.put_document(lease, &bytes)?);
        let record = ImageRecord {
            top,
            created: None,
            tagged: None,
            layers: stack.iter().map(|(_, record)| record.bytes).collect(),
            platform: platform.into(),
            manifest: None,
            repo_digests: Default::default(),
            parent: None,
        };
        self.store.change::<_, StoreError>(|tables| {
            add_layers(tables, layers);
            tables.images.images.insert(id, record);
            tables.images.names.insert(name.to_owned(), NameRecord::of(id));
            Ok(id)
        })
    }

    /// Removes an image and what only it needed.
    pub fn remove_image(&self, id: ImageId) -> store::Result<store::Collected> {
        let removed = self.store.remove_images::<_, StoreError>(|images| {
            images.images.remove(&id);
            images.names.retain(|_, record| record.image != id);
            Ok(())
        })?;
        Ok(removed.1)
    }

    /// A detached, read-only mount of a recorded stack.
    pub fn view(&self, top: Option<ChainId>) -> store::Result<OwnedFd> {
        self.store.view(&self.store.stacked(top, &self.store.tables()?.layers)?)
    }

    /// How a recorded stack looks.
    pub fn tree(&self, top: Option<ChainId>) -> Tree {
        let view = self.view(top).expect("the stack can be mounted");
        Tree::read_at(&view).expect("a view can be read")
    }

    /// How layers look when the store has taken them in.
    pub fn tree_of(&self, layers: &[Layer]) -> Tree {
        let tars: Vec<_> = layers.iter().map(Layer::tar).collect();
        let top = self.add_tars(&tars).expect("well-formed layers are taken");
        self.tree(top)
    }

    /// Fails unless a check finds nothing wrong.
    #[track_caller]
    pub fn must_be_clean(&self) {
        let report = self.store.check(false).expect("the store can be checked");
        assert!(report.faults.is_empty(), "faults: {:#?}", report.faults);
    }

    /// Every file and folder below the data root with its size, for telling what a failure left.
    pub fn files(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut list = Vec::new();
        list_files(&self.settings.root, &mut list)?;
        list.sort();
        Ok(list)
    }

    /// The record of a layer.
    pub fn record(&self, chain: ChainId) -> LayerRecord {
        self.store.tables().expect("the tables can be read").layers.layers[&chain].clone()
    }

    /// Where a blob lies.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.store.paths().blob(digest)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch::new()
    }
}

fn add_layers(tables: &mut Tables, layers: &Layers) {
    for (chain, record) in &layers.layers {
        tables.layers.layers.insert_new(*chain, || record.clone());
    }
}

fn list_files(folder: &Path, list: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            list_files(&entry.path(), list)?;
        }
        list.push((entry.path(), if meta.is_dir() { 0 } else { meta.len() }));
    }
    Ok(())
}
