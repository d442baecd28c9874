//! `--attest`, `--provenance` and `--sbom`, read.

use std::collections::BTreeMap;

use engine::{Provenance, ProvenanceMode, ProvenanceVersion, Sbom};
use spec::{Reference, parse_go_bool};

use super::flags::{fields, wrong};
use crate::failure::Failure;

/// What is told beside images.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attests {
    /// How they were built, and how much of it.
    pub(crate) provenance: Option<Provenance>,
    /// What is installed in them.
    pub(crate) sbom: Option<Sbom>,
}

/// `--attest`, and what is shorter for it: `--provenance` and `--sbom`, which count more.
pub(crate) fn attests(
    (provenance, sbom): (Option<&str>, Option<&str>),
    list: &[String],
) -> Result<Attests, Failure> {
    let short = |kind: &str, text: Option<&str>| {
        let text = text.filter(|text| !text.is_empty())?;
        Some(match parse_go_bool(text) {
            Some(true) => format!("type={kind}"),
            Some(false) => format!("type={kind},disabled=true"),
            None => format!("type={kind},{text}"),
        })
    };
    let short = [short("provenance", provenance), short("sbom", sbom)];
    let mut attests = Attests::default();
    for text in list.iter().chain(short.iter().flatten()) {
        let mut fields = fields(text)?;
        let kind = fields.remove("type").unwrap_or_default();
        let is_on = match fields.remove("disabled") {
            None => true,
            Some(value) => !parse_go_bool(&value).ok_or_else(|| {
                wrong(text, &format!("disabled={value} is neither true nor false"))
            })?,
        };
        match kind.as_str() {
            "provenance" => {
                let how = provenance_of(text, &mut fields)?;
                attests.provenance = is_on.then_some(how);
            }
            "sbom" => {
                let generator = fields.remove("generator").filter(|image| !image.is_empty());
                let generator = generator.map(|image| {
                    let why = |error| format!("generator {image:?} is no image: {error}");
                    let name =
                        Reference::parse(&image).map_err(|error| wrong(text, &why(error)))?;
                    Ok::<_, Failure>(name.with_default_tag())
                });
                let sbom = generator.transpose()?.map_or(Sbom::BuiltIn, Sbom::Generator);
                attests.sbom = is_on.then_some(sbom);
            }
            _ => {
                let words = format!("this version of mica has no attestation of type {kind:?}");
                return Err(wrong(text, &words).hint("types are provenance and sbom"));
            }
        }
        if let Some(key) = fields.keys().next() {
            return Err(wrong(text, &format!("{kind} has no {key}")));
        }
    }
    Ok(attests)
}

fn provenance_of(text: &str, fields: &mut BTreeMap<String, String>) -> Result<Provenance, Failure> {
    let version = match fields.remove("version").as_deref() {
        None | Some("" | "v1") => ProvenanceVersion::V1,
        Some("v0.2") => ProvenanceVersion::V02,
        Some(other) => {
            let words = format!("provenance of version {other:?} is not there");
            return Err(wrong(text, &words).hint("version=v1 and version=v0.2 are"));
        }
    };
    let mode = match fields.remove("mode").as_deref() {
        None | Some("" | "min") => ProvenanceMode::Min,
        Some("max") => ProvenanceMode::Max,
        Some(other) => return Err(wrong(text, &format!("mode {other:?} is not known"))),
    };
    let mut switch = |key: &str| match fields.remove(key).filter(|value| !value.is_empty()) {
        None => Ok(false),
        Some(value) => parse_go_bool(&value)
            .ok_or_else(|| wrong(text, &format!("{key}={value} is neither true nor false"))),
    };
    let reproducible = switch("reproducible")?;
    let inline_only = switch("inline-only")?;
    let builder = fields.remove("builder-id").unwrap_or_default();
    let file = fields.remove("filename").unwrap_or_default();
    Ok(Provenance { mode, version, builder, reproducible, inline_only, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Provenance>, String> {
        let attests = attests((Some(text), None), &[]);
        attests.map(|own| own.provenance).map_err(|failure| failure.first_line().to_owned())
    }

    #[test]
    fn provenance_as_actions_ask_for_it() {
        let default = Some(Provenance::default());
        for text in ["true", "1", "t", "True", "mode=min", "version=v1", "inline-only=false"] {
            assert_eq!(read(text).unwrap(), default, "{text}");
        }
        for text in ["false", "0", "f", "FALSE", "mode=max,disabled=T"] {
            assert_eq!(read(text).unwrap(), None, "{text}");
        }
        let asked = "mode=max,builder-id=https://host/run/1,reproducible=true,version=v0.2";
        let wanted = Provenance {
            mode: ProvenanceMode::Max,
            version: ProvenanceVersion::V02,
            builder: "https://host/run/1".to_owned(),
            reproducible: true,
            inline_only: false,
            file: String::new(),
        };
        assert_eq!(read("filename=told.json").unwrap().unwrap().file, "told.json");
        assert_eq!(read(asked).unwrap(), Some(wanted));
        assert!(read("inline-only=true").unwrap().unwrap().inline_only);
        let all = |text: &str| {
            let attests = attests((None, None), &[format!("type=sbom,{text}")]);
            attests.map(|own| own.sbom).map_err(|failure| failure.first_line().to_owned())
        };
        assert_eq!(all("generator=").unwrap(), Some(Sbom::BuiltIn));
        assert!(matches!(all("generator=some/scanner"), Ok(Some(Sbom::Generator(_)))));
        assert_eq!(all("disabled=True").unwrap(), None);
        assert!(all("disabled=perhaps").unwrap_err().contains("neither true nor false"));
        assert!(read("version=v2").unwrap_err().contains("version \"v2\" is not there"));
        assert!(read("reproducible=maybe").unwrap_err().contains("neither true nor false"));
        assert!(read("colour=red").unwrap_err().contains("provenance has no colour"));
    }
}
