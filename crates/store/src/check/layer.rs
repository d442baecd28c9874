//! One layer looked at: is each of its forms what its record says?

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::atomic::{AtomicBool, Ordering};

use image::codec::Codec;
use image::erofs::IndexReader;
use image::folder::{ContentCheck, Holds};
use image::layer::{FileSink, Taps, read_layer};
use image::merged::Merged;
use image::tree::LayerTree;
use spec::{ChainId, DiffId, Digest};

use super::{Cure, Fault, reason};
use crate::Store;
use crate::below::Stack;
use crate::blobs::{Ingest, hash_file};
use crate::driver::Stacked;
use crate::error::{Result, StoreError};
use crate::index;
use crate::tables::{LayerRecord, Layers};

/// The forms from which the others can be made, and what is wrong with them.
#[derive(Default)]
struct Sources {
    /// Whether there is a tar, well or not.
    tar_here: bool,
    tar_fault: Option<String>,
    blob_fault: Option<String>,
    /// The layer as one of them has it, and how long its tar is.
    tree: Option<LayerTree>,
    tar_bytes: u64,
    /// How long the blob is.
    blob_bytes: Option<u64>,
}

impl Sources {
    fn tar_is_good(&self) -> bool {
        self.tar_here && self.tar_fault.is_none()
    }

    /// What mends the forms that are made of these.
    fn cure(&self, chain: &ChainId, record: &LayerRecord) -> Cure {
        let blob_is_good = record.blob.is_some() && self.blob_fault.is_none();
        match self.tar_is_good() || blob_is_good {
            true => Cure::Rebuild(*chain),
            false => Cure::None,
        }
    }

    /// Their own faults, and what the record says wrongly of the layer.
    fn faults(&self, what: &str, record: &LayerRecord, rebuild: &Cure) -> Vec<Fault> {
        let tar = self.tar_fault.clone();
        let tar = tar.map(|why| Fault::new(format!("the tar of {what}"), why, rebuild.clone()));
        let forget = match &record.blob {
            Some(blob) if self.tar_is_good() => Cure::ForgetBlob(blob.digest),
            _ => Cure::None,
        };
        let blob = self.blob_fault.clone();
        let blob =
            blob.map(|why| Fault::new(format!("the compressed blob of {what}"), why, forget));
        let entries = self.tree.as_ref().map(|tree| ("entries", record.entries, tree.entries()));
        let bytes = self.tree.as_ref().map(|_| ("bytes", record.bytes, self.tar_bytes));
        // Where its bytes are others, that explains how many they are.
        let blob_bytes = record.blob.as_ref().filter(|_| self.blob_fault.is_none());
        let blob_bytes = blob_bytes.zip(self.blob_bytes);
        let blob_bytes = blob_bytes.map(|(blob, found)| ("compressed bytes", blob.bytes, found));
        let numbers = entries.into_iter().chain(bytes).chain(blob_bytes);
        let records = numbers.filter(|(_, said, found)| said != found).map(|(of, said, found)| {
            let why = format!("it says that there are {said} {of}, not {found}");
            Fault::new(format!("the record of {what}"), why, rebuild.clone())
        });
        tar.into_iter().chain(blob).chain(records).collect()
    }
}

impl Store {
    /// What is wrong with one layer's forms.
    pub(crate) fn layer_faults(
        &self,
        chain: &ChainId,
        record: &LayerRecord,
        layers: &Layers,
    ) -> Result<Vec<Fault>> {
        let what = format!("layer {}", chain.0.short());
        let kept = self.driver().folder(chain);
        let mut content = kept
            .as_ref()
            .and_then(|(path, _)| sys::fs::open_folder(path).ok().map(ContentCheck::new));
        let mut sources = self.read_sources(record, content.as_mut().map(|check| check as _))?;
        let rebuild = sources.cure(chain, record);
        let mut faults = sources.faults(&what, record, &rebuild);
        let settled = match &mut sources.tree {
            // If a layer below is damaged, that is told of that layer.
            Some(tree) => self.settle_on(tree, record.parent, layers).is_ok(),
            None => false,
        };
        let tree = sources.tree.as_ref().filter(|_| settled);
        if let Some(why) = self.index_fault(chain, record, tree) {
            faults.push(Fault::new(format!("the index of {what}"), why, rebuild));
            return Ok(faults);
        }
        let stacked = Stacked { chain: *chain, diff: record.diff };
        let why = match kept {
            _ if sources.tar_fault.is_some() => None,
            _ if !self.driver().has(&stacked) => {
                Some(format!("the {} driver has nothing of it", self.driver().kind()))
            }
            Some((path, holds)) => {
                let tree = sources.tree;
                let changed = content.zip(tree).and_then(|(content, tree)| content.finish(&tree));
                // A missing or shortened file has other content too: the nearer cause comes first.
                self.folder_fault(chain, &path, holds, layers)?.or(changed)
            }
            None => None,
        };
        faults.extend(why.map(|why| Fault::new(what, why, rebuild)));
        Ok(faults)
    }

    /// Reads the layer from its tar, or else from its blob, and hashes what is not read.
    fn read_sources(
        &self,
        record: &LayerRecord,
        files: Option<&mut dyn FileSink>,
    ) -> Result<Sources> {
        let tar_here = self.has_blob(&record.diff.0);
        let blob_bytes = record.blob.as_ref().and_then(|blob| self.blob_bytes(&blob.digest));
        let mut sources = Sources { tar_here, blob_bytes, ..Sources::default() };
        if tar_here {
            match self.read_whole(&record.diff.0, record.diff, files) {
                Ok((tree, bytes)) => (sources.tree, sources.tar_bytes) = (Some(tree), bytes),
                Err(why) => sources.tar_fault = Some(why),
            }
            if let Some(blob) = &record.blob {
                sources.blob_fault = self.blob_fault(&blob.digest)?;
            }
            return Ok(sources);
        }
        if self.driver().keeps_tar() || record.blob.is_none() {
            sources.tar_fault = Some("it is missing".to_owned());
        }
        if let Some(blob) = &record.blob {
            match self.read_whole(&blob.digest, record.diff, files) {
                Ok((tree, bytes)) => {
                    (sources.tree, sources.tar_bytes) = (Some(tree), bytes);
                }
                Err(why) => sources.blob_fault = Some(why),
            }
        }
        Ok(sources)
    }

    /// Reads a layer out of a blob, with the length of its tar, and checks both of its digests; else
    /// says what is wrong.
    fn read_whole(
        &self,
        blob: &Digest,
        diff: DiffId,
        files: Option<&mut dyn FileSink>,
    ) -> Result<(LayerTree, u64), String> {
        let mut file = self.open_blob(blob).map_err(reason)?;
        let mut head = Vec::new();
        let peeked = (&file).take(16).read_to_end(&mut head).and_then(|_| file.rewind());
        peeked.map_err(|error| format!("it cannot be read: {error}"))?;
        let codec = Codec::detect(&head);
        let (mut stored, mut plain) =
            (Ingest::nowhere(blob.algorithm()), Ingest::nowhere(diff.0.algorithm()));
        let taps = Taps { stored: &mut stored, plain: &mut plain };
        let read = read_layer(&mut file, codec, taps, files, self.limits());
        let plain = if codec == Codec::None { &stored } else { &plain };
        match read {
            Ok(_) if stored.arrived().digest != *blob => {
                Err(format!("its bytes are {}", stored.arrived().digest))
            }
            Ok(_) if plain.arrived().digest != diff.0 => {
                Err(format!("its plain bytes are {}", plain.arrived().digest))
            }
            Ok(tree) => Ok((tree, plain.arrived().bytes)),
            // Changed bytes explain the rest, if they are changed.
            Err(error) => match self.blob_fault(blob).map_err(reason)? {
                Some(why) => Err(why),
                None => Err(causes(&error)),
            },
        }
    }

    /// Why a blob is not what its name says, if it is not.
    pub(crate) fn blob_fault(&self, digest: &Digest) -> Result<Option<String>> {
        self.blob_fault_while(digest, &AtomicBool::new(true))
    }

    /// The same for as long as somebody wants to know; nothing then.
    pub(crate) fn blob_fault_while(
        &self,
        digest: &Digest,
        is_wanted: &AtomicBool,
    ) -> Result<Option<String>> {
        let hashed = hash_file(&self.paths().blob(digest), digest.algorithm(), is_wanted);
        if !is_wanted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match hashed {
            Ok(arrived) if arrived.digest == *digest => Ok(None),
            Ok(arrived) => Ok(Some(format!("its bytes are {}", arrived.digest))),
            Err(error @ StoreError::Io { .. }) => Ok(Some(reason(error))),
            Err(error) => Err(error),
        }
    }

    fn settle_on(
        &self,
        tree: &mut LayerTree,
        parent: Option<ChainId>,
        layers: &Layers,
    ) -> Result<()> {
        tree.settle(&mut Stack::new(self, parent, layers)?)
    }

    fn index_fault(
        &self,
        chain: &ChainId,
        record: &LayerRecord,
        tree: Option<&LayerTree>,
    ) -> Option<String> {
        let path = self.paths().index(chain);
        let read = || -> Result<Option<String>> {
            let file = File::open(&path).map_err(StoreError::io("open", &path))?;
            let digest = index::digest(&file, record.index.algorithm());
            if digest.map_err(StoreError::io("read", &path))? != record.index {
                return Ok(Some("its bytes have changed".to_owned()));
            }
            let said = IndexReader::open(file).and_then(|index| match tree {
                Some(tree) => image::erofs::difference(&index, tree),
                None => Ok(None),
            });
            Ok(said.unwrap_or_else(|error| Some(causes(&error))))
        };
        read().unwrap_or_else(|error| Some(reason(error)))
    }

    /// The first thing in a driver's folder that is not as the indexes say.
    fn folder_fault(
        &self,
        chain: &ChainId,
        path: &std::path::Path,
        holds: Holds,
        layers: &Layers,
    ) -> Result<Option<String>> {
        let chains: Vec<ChainId> = match holds {
            Holds::Layer(_) => vec![*chain],
            Holds::Stack => layers.stack(Some(*chain))?.iter().map(|(chain, _)| *chain).collect(),
        };
        let indexes = chains.iter().map(|chain| self.open_index(chain)).collect::<Result<_>>();
        // A damaged index below is told of its own layer.
        let Ok(indexes) = indexes else { return Ok(None) };
        // Files of the layers below are copies of those in the stack below.
        let parent = layers.layers.get(chain).and_then(|record| record.parent);
        let below = parent.filter(|_| holds == Holds::Stack);
        let below = below.and_then(|parent| self.driver().folder(&parent));
        let below = below.and_then(|(path, _)| sys::fs::open_folder(&path).ok());
        let compared = sys::fs::open_folder(path).and_then(|folder| {
            let merged = Merged::new(indexes);
            image::folder::difference(&folder, &merged, holds, self.owners(), below)
        });
        Ok(compared.unwrap_or_else(|error| Some(format!("it cannot be read: {error}"))))
    }
}

/// An error with all that led to it, in one line.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
