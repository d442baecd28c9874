//! Where the result of a build goes.

use std::fs::File;
use std::path::PathBuf;

use spec::{Platform, Reference};

use crate::pack::LayerCoding;
use crate::save::SaveTarget;

/// One way out of a build.
pub enum Output {
    /// Images that are kept here under their names, and perhaps pushed.
    Image {
        /// The names.
        names: Vec<Reference>,
        /// Whether their registries get them too.
        push: Push,
        /// How they are packed.
        packing: Packing,
        /// What else is asked about their names.
        naming: Naming,
    },
    /// Images in an archive or a layout; they are not kept here.
    Archive {
        /// The names they have there.
        names: Vec<Reference>,
        /// Whose archive it is.
        form: ArchiveForm,
        /// Where it goes.
        target: SaveTarget,
        /// How they are packed.
        packing: Packing,
    },
    /// The files of the images alone.
    Files {
        /// Where they go.
        target: FilesTarget,
        /// Whether each platform has a folder of its own; by default if there are several.
        split: Option<bool>,
        /// What the names of files begin with that tell of the images.
        prefix: String,
    },
    /// Nowhere: what was done is remembered, and that is all.
    Nothing,
}

impl Output {
    /// The names that images get there.
    pub fn names(&self) -> &[Reference] {
        match self {
            Output::Image { names, .. } | Output::Archive { names, .. } => names,
            Output::Files { .. } | Output::Nothing => &[],
        }
    }

    /// Whether it is written to a stream, which then holds nothing else.
    pub fn is_stream(&self) -> bool {
        matches!(
            self,
            Output::Archive { target: SaveTarget::Stream(_), .. }
                | Output::Files { target: FilesTarget::Stream(_), .. }
        )
    }
}

/// Whether an image is pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Push {
    /// It is not.
    #[default]
    No,
    /// Under its names.
    ByName,
    /// Under its digest alone, to the repositories of its names, which it does not get.
    ByDigest,
}

/// Whose archive it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveForm {
    /// Docker's, which is also an OCI layout. It holds one image.
    Docker,
    /// OCI's layout alone.
    Oci,
}

/// Where files go.
pub enum FilesTarget {
    /// Into a folder, beside what is there.
    Folder(PathBuf),
    /// Into a folder, in place of what is there.
    Mirror(PathBuf),
    /// Into a tar, which appears when it is whole.
    Tar(PathBuf),
    /// Into a tar that is written here.
    Stream(File),
}

/// How images are packed for their way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// How layers that the build made are compressed; by default with gzip, once they leave.
    pub compression: Option<LayerCoding>,
    /// How hard.
    pub level: Option<i32>,
    /// Whether layers of the base are compressed so too, and none is taken as it is.
    pub force: bool,
    /// In whose words documents say what they are.
    pub types: Option<Types>,
    /// What is said about them.
    pub annotations: Vec<Annotation>,
    /// Whether what is told beside an image is an artifact that names the image as its subject.
    pub artifact: bool,
}

/// What is asked about the names of images, and about the registries that these are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// Registries need not prove who they are, and may speak in the clear.
    pub insecure: bool,
    /// Images are known by their names with a digest too.
    pub canonical: bool,
    /// What an image without a name is known by, with its digest.
    pub dangling: Option<Reference>,
}

/// Whose media types documents have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// Docker's.
    Docker,
    /// OCI's.
    Oci,
}

/// Something that is said about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where it stands.
    pub place: AnnotationPlace,
    /// Only for the image of this platform.
    pub platform: Option<Platform>,
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// Where an annotation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationPlace {
    /// In the image's manifest.
    Manifest,
    /// At the image's entry: in the index, or in the list of a layout if the image is alone.
    ManifestDescriptor,
    /// In the index.
    Index,
    /// At the index's entry in the list of a layout.
    IndexDescriptor,
}
