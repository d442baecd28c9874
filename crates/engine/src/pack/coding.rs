//! Ways to compress a layer that leaves.

use spec::{Compression, Descriptor, MediaType};

/// How a layer is compressed on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerCoding {
    /// Not at all.
    Plain,
    /// As registries usually have it.
    Gzip,
    /// Smaller and faster.
    Zstd,
    /// Zstd with each file for itself and a table of what is where, so that who has some of the files
    /// need not fetch them.
    ZstdChunked,
}

impl LayerCoding {
    /// What there is, for messages.
    pub const WORDS: &str =
        "uncompressed, gzip, zstd and zstd:chunked are; eStargz is read here, and not made";

    /// By the word that BuildKit's and containers' programs have for it.
    pub fn parse(word: &str) -> Option<LayerCoding> {
        Some(match word {
            "uncompressed" => LayerCoding::Plain,
            "gzip" => LayerCoding::Gzip,
            "zstd" => LayerCoding::Zstd,
            "zstd:chunked" => LayerCoding::ZstdChunked,
            _ => return None,
        })
    }

    /// That word.
    pub fn word(self) -> &'static str {
        match self {
            LayerCoding::Plain => "uncompressed",
            LayerCoding::Gzip => "gzip",
            LayerCoding::Zstd => "zstd",
            LayerCoding::ZstdChunked => "zstd:chunked",
        }
    }

    /// Whether there is such a level.
    pub fn has_level(self, level: i32) -> bool {
        match self.compression() {
            // Nothing is zstd's usual level.
            Compression::Zstd => (0..=22).contains(&level),
            _ => (0..=9).contains(&level),
        }
    }

    /// What whoever reads it has to undo.
    pub fn compression(self) -> Compression {
        match self {
            LayerCoding::Plain => Compression::None,
            LayerCoding::Gzip => Compression::Gzip,
            LayerCoding::Zstd | LayerCoding::ZstdChunked => Compression::Zstd,
        }
    }

    /// What OCI calls such a layer.
    pub(crate) fn media_type(self) -> MediaType {
        match self.compression() {
            Compression::None => MediaType::OciLayer,
            Compression::Gzip => MediaType::OciLayerGzip,
            Compression::Zstd => MediaType::OciLayerZstd,
        }
    }

    /// How a layer is compressed.
    pub(crate) fn of(layer: &Descriptor) -> Option<LayerCoding> {
        Some(match layer.media_type.compression()? {
            Compression::None => LayerCoding::Plain,
            Compression::Gzip => LayerCoding::Gzip,
            Compression::Zstd if image::chunked::is_told(&layer.annotations) => {
                LayerCoding::ZstdChunked
            }
            Compression::Zstd => LayerCoding::Zstd,
        })
    }

    /// Whether a layer is compressed so.
    pub(crate) fn is_of(self, layer: &Descriptor) -> bool {
        LayerCoding::of(layer) == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coding_has_its_levels() {
        for (coding, highest) in [(LayerCoding::Gzip, 9), (LayerCoding::Zstd, 22)] {
            assert!(coding.has_level(0) && coding.has_level(highest), "{coding:?}");
            assert!(!coding.has_level(-1) && !coding.has_level(highest + 1), "{coding:?}");
        }
    }
}
