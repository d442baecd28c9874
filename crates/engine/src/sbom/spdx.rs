//! What is in an image as an SPDX 2.3 document.

use serde_json::{Value, json};
use spec::{Digest, Timestamp};

use super::{Contents, Package};

/// What such a statement is about.
pub(crate) const PREDICATE: &str = "https://spdx.dev/Document";
const VERSION: &str = "SPDX-2.3";
/// What nobody says anything about.
const NOTHING: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";

/// The image that a document is about.
pub(crate) struct About<'a> {
    /// What it is called.
    pub(crate) name: &'a str,
    /// What it is about beside the image: its context, or another of its stages.
    pub(crate) part: Option<&'a str>,
    /// Its manifest.
    pub(crate) manifest: Digest,
    /// When it was made: the document's time too, so that the same image has the same document.
    pub(crate) created: Timestamp,
}

/// The document.
pub(crate) fn document(about: &About<'_>, contents: &Contents) -> Value {
    let created = Timestamp::from_unix(about.created.unix_seconds(), 0).to_string();
    let (hex, name) = (about.manifest.hex(), about.part.unwrap_or(about.name));
    let mut whole = json!({
        "name": name,
        "SPDXID": IMAGE,
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
    });
    if about.part.is_none() {
        whole["versionInfo"] = json!(about.manifest.to_string());
        whole["primaryPackagePurpose"] = json!("CONTAINER");
        let algorithm = about.manifest.algorithm().as_str().to_uppercase();
        whole["checksums"] = json!([{ "algorithm": algorithm, "checksumValue": hex }]);
    }
    let space = about.part.map_or_else(|| hex.clone(), |part| format!("{hex}/{part}"));
    let mut packages = vec![whole];
    let mut relations = vec![relation(DOCUMENT, "DESCRIBES", IMAGE)];
    for package in &contents.packages {
        packages.push(described(package));
        relations.push(relation(IMAGE, "CONTAINS", &id(package)));
    }
    let mut document = json!({
        "spdxVersion": VERSION,
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/mica/{space}"),
        "creationInfo": {
            "created": created,
            "creators": [format!("Tool: mica-{}", crate::VERSION)],
        },
        "packages": packages,
        "relationships": relations,
    });
    if !contents.notes.is_empty() {
        document["comment"] = json!(contents.notes.join("; "));
    }
    document
}

fn relation(one: &str, is: &str, other: &str) -> Value {
    json!({ "spdxElementId": one, "relationshipType": is, "relatedSpdxElement": other })
}

/// A package's name in the document: letters, digits, dots and dashes are all that it may have.
fn id(package: &Package) -> String {
    let kind = package.url.trim_start_matches("pkg:").split('/').next().unwrap_or_default();
    let plain = |text: &str| -> String {
        let keep = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        text.chars().map(keep).collect()
    };
    // Different ones may look alike without the rest of their letters.
    let short = &Digest::of(package.url.as_bytes()).hex()[..16];
    format!("SPDXRef-Package-{kind}-{}-{short}", plain(&package.name))
}

fn described(package: &Package) -> Value {
    let mut described = json!({
        "name": package.name,
        "SPDXID": id(package),
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "sourceInfo": format!("found in {}", package.found),
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package.url,
        }],
    });
    if !package.version.is_empty() {
        described["versionInfo"] = json!(package.version);
    }
    // Not every package says it in SPDX's words, which alone may stand in the field for it.
    if !package.license.is_empty() {
        described["licenseComments"] = json!(package.license);
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_an_image() {
        let package = |url: &str, name: &str| Package {
            url: url.to_owned(),
            name: name.to_owned(),
            version: "1".to_owned(),
            license: "MIT".to_owned(),
            found: "/db".to_owned(),
        };
        let packages = vec![package("pkg:deb/a@1", "a+"), package("pkg:npm/%40a/b@1", "@a/b")];
        let contents = Contents { packages, notes: Vec::new() };
        let (manifest, created) = (Digest::of(b""), Timestamp::from_unix(0, 5));
        let about = About { name: "app", part: None, manifest, created };
        let document = document(&about, &contents);
        assert_eq!(document["creationInfo"]["created"], "1970-01-01T00:00:00Z");
        let packages = document["packages"].as_array().unwrap();
        let ids: Vec<&str> = packages.iter().map(|one| one["SPDXID"].as_str().unwrap()).collect();
        assert!(ids[1].starts_with("SPDXRef-Package-deb-a--"), "{ids:?}");
        assert!(ids[2].starts_with("SPDXRef-Package-npm--a-b-"), "{ids:?}");
        let letters = |id: &&str| id.chars().all(|one| one.is_ascii_alphanumeric() || one == '-');
        assert!(ids.iter().all(letters), "{ids:?}");
        let related = document["relationships"].as_array().unwrap();
        assert_eq!(related.len(), 3);
        for (relation, id) in related.iter().zip(&ids) {
            assert_eq!(relation["relatedSpdxElement"], *id);
        }
        assert_eq!(packages[2]["licenseComments"], "MIT");
        assert!(document.get("comment").is_none());
    }
}
