//! Media types: what a blob or document says it is, in OCI's words or docker's.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::json::string_on_the_wire;

macro_rules! media_types {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What a blob or document says it is. Types we do not know are kept as they are.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum MediaType {
            $($(#[$doc])* $variant,)*
            /// Any other type; never the text of one of the variants above when it was parsed.
            Other(String),
        }

        impl MediaType {
            /// The text on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(MediaType::$variant => $text,)*
                    MediaType::Other(text) => text,
                }
            }
        }

        impl From<&str> for MediaType {
            fn from(text: &str) -> MediaType {
                match text {
                    $($text => MediaType::$variant,)*
                    _ => MediaType::Other(text.to_owned()),
                }
            }
        }

        #[cfg(test)]
        const KNOWN: &[MediaType] = &[$(MediaType::$variant,)*];
    };
}

media_types! {
    /// OCI's list of manifests, one for each platform.
    OciIndex = "application/vnd.oci.image.index.v1+json",
    /// OCI's manifest of one image.
    OciManifest = "application/vnd.oci.image.manifest.v1+json",
    /// OCI's image configuration.
    OciConfig = "application/vnd.oci.image.config.v1+json",
    /// OCI's empty document `{}`, a placeholder in artifacts.
    OciEmpty = "application/vnd.oci.empty.v1+json",
    /// OCI's layer as a plain tar.
    OciLayer = "application/vnd.oci.image.layer.v1.tar",
    /// OCI's layer, gzip.
    OciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip",
    /// OCI's layer, zstd.
    OciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd",
    /// OCI's layer that may not be passed on, as a plain tar.
    OciForeignLayer = "application/vnd.oci.image.layer.nondistributable.v1.tar",
    /// OCI's layer that may not be passed on, gzip.
    OciForeignLayerGzip = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    /// OCI's layer that may not be passed on, zstd.
    OciForeignLayerZstd = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    /// Docker's list of manifests, one for each platform.
    DockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json",
    /// Docker's manifest of one image, schema 2.
    DockerManifest = "application/vnd.docker.distribution.manifest.v2+json",
    /// Docker's image configuration.
    DockerConfig = "application/vnd.docker.container.image.v1+json",
    /// The configuration of a docker plugin, which is no image.
    DockerPlugin = "application/vnd.docker.plugin.v1+json",
    /// Docker's layer as a plain tar.
    DockerLayer = "application/vnd.docker.image.rootfs.diff.tar",
    /// Docker's layer, gzip.
    DockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip",
    /// Docker's layer, zstd, as BuildKit writes it.
    DockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd",
    /// Docker's layer that may not be passed on, as a plain tar.
    DockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar",
    /// Docker's layer that may not be passed on, gzip.
    DockerForeignLayerGzip = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    /// Docker's manifest of schema 1, which is refused.
    DockerSchema1 = "application/vnd.docker.distribution.manifest.v1+json",
    /// Docker's signed manifest of schema 1, which is refused.
    DockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws",
}

/// How a layer's tar is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// A plain tar.
    None,
    /// Gzip, what docker writes.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl MediaType {
    /// A list of manifests.
    pub fn is_index(&self) -> bool {
        matches!(self, MediaType::OciIndex | MediaType::DockerIndex)
    }

    /// A manifest of one image, of the schemas that are read.
    pub fn is_manifest(&self) -> bool {
        matches!(self, MediaType::OciManifest | MediaType::DockerManifest)
    }

    /// A manifest of docker's schema 1, which nobody should write any more.
    pub fn is_schema1(&self) -> bool {
        matches!(self, MediaType::DockerSchema1 | MediaType::DockerSchema1Signed)
    }

    /// An image's configuration.
    pub fn is_config(&self) -> bool {
        matches!(self, MediaType::OciConfig | MediaType::DockerConfig)
    }

    /// How a layer is packed; nothing where this is no layer.
    pub fn compression(&self) -> Option<Compression> {
        use MediaType::*;
        match self {
            OciLayer | OciForeignLayer | DockerLayer | DockerForeignLayer => {
                Some(Compression::None)
            }
            OciLayerGzip | OciForeignLayerGzip | DockerLayerGzip | DockerForeignLayerGzip => {
                Some(Compression::Gzip)
            }
            OciLayerZstd | OciForeignLayerZstd | DockerLayerZstd => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// A layer that is fetched from its own `urls` and may not be pushed elsewhere.
    pub fn is_foreign(&self) -> bool {
        use MediaType::*;
        matches!(
            self,
            OciForeignLayer
                | OciForeignLayerGzip
                | OciForeignLayerZstd
                | DockerForeignLayer
                | DockerForeignLayerGzip
        )
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for MediaType {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<MediaType, Infallible> {
        Ok(MediaType::from(text))
    }
}

string_on_the_wire!(MediaType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for known in KNOWN.iter().chain([&MediaType::Other("text/plain".to_owned())]) {
            let json = serde_json::to_string(known).unwrap();
            assert_eq!(json, format!("\"{known}\""));
            assert_eq!(serde_json::from_str::<MediaType>(&json).unwrap(), *known);
        }
    }

    #[test]
    fn every_known_type_has_one_use() {
        for known in KNOWN {
            let uses = [
                known.is_index(),
                known.is_manifest(),
                known.is_schema1(),
                known.is_config(),
                known.compression().is_some(),
            ];
            let used = uses.iter().filter(|yes| **yes).count();
            let placeholder = matches!(known, MediaType::OciEmpty | MediaType::DockerPlugin);
            assert_eq!(used, usize::from(!placeholder), "{known}");
            assert_eq!(
                known.is_foreign(),
                known.as_str().contains("nondist") || known.as_str().contains("foreign")
            );
        }
        assert_eq!(MediaType::from("text/plain").compression(), None);
    }

    #[test]
    fn layers_say_how_they_are_packed() {
        for known in KNOWN.iter().filter(|known| known.compression().is_some()) {
            let expected = match known.as_str() {
                text if text.ends_with("gzip") => Compression::Gzip,
                text if text.ends_with("zstd") => Compression::Zstd,
                _ => Compression::None,
            };
            assert_eq!(known.compression(), Some(expected), "{known}");
        }
        assert_eq!(MediaType::OciConfig.compression(), None);
    }
}
