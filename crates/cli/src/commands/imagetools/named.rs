//! OCI's documents as templates see them: fields have the names that Go gives them, and in JSON their
//! own.

use std::rc::Rc;

use serde_json::Value;

use crate::template::{self, Object, Unset};

/// What kind of thing a field is.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    Texts,
    Map,
    /// Anything at all; nothing where it is left out.
    Any,
    /// A document of its own.
    Part(&'static Shape),
    Parts(&'static Shape),
}

use Kind::{Any, Flag, Number, Part, Parts, Text, Texts};

/// The fields that a document may have: Go's name, its own in JSON, what it is.
pub(super) struct Shape(&'static [(&'static str, &'static str, Kind)]);

/// What `imagetools inspect` shows.
pub(super) const SHOWN: Shape = Shape(&[
    ("Name", "name", Text),
    ("Manifest", "manifest", Part(&MANIFEST)),
    ("Image", "image", Any),
    ("Provenance", "provenance", Any),
    ("SBOM", "sbom", Any),
]);

/// An index or a manifest, and the descriptor of it.
pub(super) const MANIFEST: Shape = Shape(&[
    ("SchemaVersion", "schemaVersion", Number),
    ("MediaType", "mediaType", Text),
    ("ArtifactType", "artifactType", Text),
    ("Digest", "digest", Text),
    ("Size", "size", Number),
    ("Manifests", "manifests", Parts(&DESCRIPTOR)),
    ("Config", "config", Part(&DESCRIPTOR)),
    ("Layers", "layers", Parts(&DESCRIPTOR)),
    ("Subject", "subject", Part(&DESCRIPTOR)),
    ("Annotations", "annotations", Kind::Map),
    ("Platform", "platform", Part(&PLATFORM)),
]);

const DESCRIPTOR: Shape = Shape(&[
    ("MediaType", "mediaType", Text),
    ("Digest", "digest", Text),
    ("Size", "size", Number),
    ("URLs", "urls", Texts),
    ("Annotations", "annotations", Kind::Map),
    ("Data", "data", Text),
    ("Platform", "platform", Part(&PLATFORM)),
    ("ArtifactType", "artifactType", Text),
]);

const PLATFORM: Shape = Shape(&[
    ("Architecture", "architecture", Text),
    ("OS", "os", Text),
    ("OSVersion", "os.version", Text),
    ("OSFeatures", "os.features", Texts),
    ("Variant", "variant", Text),
]);

/// An image's configuration.
pub(super) const IMAGE: Shape = Shape(&[
    ("Created", "created", Text),
    ("Author", "author", Text),
    ("Architecture", "architecture", Text),
    ("OS", "os", Text),
    ("OSVersion", "os.version", Text),
    ("OSFeatures", "os.features", Texts),
    ("Variant", "variant", Text),
    ("Config", "config", Part(&CONFIG)),
    ("RootFS", "rootfs", Part(&ROOTFS)),
    ("History", "history", Parts(&HISTORY)),
]);

const CONFIG: Shape = Shape(&[
    ("User", "User", Text),
    ("ExposedPorts", "ExposedPorts", Kind::Map),
    ("Env", "Env", Texts),
    ("Entrypoint", "Entrypoint", Texts),
    ("Cmd", "Cmd", Texts),
    ("Volumes", "Volumes", Kind::Map),
    ("WorkingDir", "WorkingDir", Text),
    ("Labels", "Labels", Kind::Map),
    ("StopSignal", "StopSignal", Text),
    ("ArgsEscaped", "ArgsEscaped", Flag),
    ("Healthcheck", "Healthcheck", Any),
    ("OnBuild", "OnBuild", Texts),
    ("Shell", "Shell", Texts),
]);

const ROOTFS: Shape = Shape(&[("Type", "type", Text), ("DiffIDs", "diff_ids", Texts)]);

const HISTORY: Shape = Shape(&[
    ("Created", "created", Text),
    ("CreatedBy", "created_by", Text),
    ("Author", "author", Text),
    ("Comment", "comment", Text),
    ("EmptyLayer", "empty_layer", Flag),
]);

/// What is attested of how an image was made, and of what is in it.
pub(super) const SLSA: Shape = Shape(&[("SLSA", "SLSA", Any)]);
pub(super) const SBOM: Shape = Shape(&[("SPDX", "SPDX", Any)]);

/// A document with the names of its shape.
pub(super) struct Named {
    shape: &'static Shape,
    /// What it has, by its names in JSON and in its order.
    fields: Vec<(String, template::Value)>,
}

impl Named {
    /// One of these fields, named as in JSON.
    pub(super) fn new(shape: &'static Shape, fields: Vec<(String, template::Value)>) -> Named {
        Named { shape, fields }
    }

    fn get(&self, name: &str) -> Option<template::Value> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

impl Object for Named {
    /// By Go's name or JSON's. What Go's type has and the document has not is empty.
    fn field(&self, name: &str) -> Option<template::Value> {
        let known = self.shape.0.iter().find(|(go, ..)| *go == name);
        match known {
            Some((_, json, kind)) => Some(self.get(json).unwrap_or_else(|| kind.zero())),
            None => self.get(name),
        }
    }

    fn names(&self) -> Vec<String> {
        self.fields.iter().map(|(name, _)| name.clone()).collect()
    }

    fn is_document(&self) -> bool {
        true
    }

    fn type_name(&self) -> &str {
        "imagetools.tplInput"
    }
}

impl Kind {
    fn zero(self) -> template::Value {
        match self {
            Text => template::Value::Str(String::new()),
            Number => template::Value::Int(0),
            Flag => template::Value::Bool(false),
            Texts | Parts(_) => template::Value::Unset(Unset::List),
            Kind::Map => template::Value::Unset(Unset::Map),
            Any | Part(_) => template::Value::Nil,
        }
    }

    fn typed(self, value: Value) -> template::Value {
        match (self, value) {
            (Part(shape), value @ Value::Object(_)) => typed(shape, value),
            (Parts(shape), Value::Array(items)) => {
                template::Value::List(items.into_iter().map(|item| typed(shape, item)).collect())
            }
            (_, value) => value.into(),
        }
    }
}

/// A document as a template sees it.
pub(super) fn typed(shape: &'static Shape, document: Value) -> template::Value {
    let Value::Object(fields) = document else { return document.into() };
    let kind = |name: &str| {
        let known = shape.0.iter().find(|(_, json, _)| *json == name);
        known.map_or(Any, |(.., kind)| *kind)
    };
    let fields = fields.into_iter().map(|(name, value)| {
        let value = kind(&name).typed(value);
        (name, value)
    });
    template::Value::Object(Rc::new(Named::new(shape, fields.collect())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::{Functions, MissingKey, Template};

    #[track_caller]
    fn check(shape: &'static Shape, document: Value, format: &str, expected: &str) {
        let template = Template::parse(format, &Functions::docker()).unwrap();
        let got = template.render(&typed(shape, document), MissingKey::NoValue).unwrap();
        assert_eq!(got, expected, "{format}");
    }

    #[test]
    fn fields_have_gos_names_and_jsons() {
        let entry =
            json!({ "digest": "sha256:0", "platform": { "os": "linux", "os.version": "1" } });
        let index = || json!({ "mediaType": "m", "manifests": [entry.clone()], "x": [1] });
        let all = "{{range .Manifests}}{{.Digest}} {{.Platform.OS}} {{.Platform.OSVersion}}{{end}}";
        check(&MANIFEST, index(), all, "sha256:0 linux 1");
        check(&MANIFEST, index(), "{{.MediaType}}{{.mediaType}}{{.x}}", "mm[1]");
        let platform = "{{json (index .Manifests 0).Platform}}";
        check(&MANIFEST, index(), platform, "{\"os\":\"linux\",\"os.version\":\"1\"}");
        // What is left out is empty.
        check(
            &MANIFEST,
            index(),
            "{{.Size}}{{.Annotations}}{{len .Layers}}{{with .Config}}x{{end}}",
            "0map[]0",
        );
        let image = json!({ "config": { "Env": ["A=b"] }, "rootfs": { "diff_ids": ["d"] } });
        check(&IMAGE, image, "{{.Config.Env}}{{.Config.User}}{{.RootFS.DiffIDs}}", "[A=b][d]");
        check(&SBOM, json!({}), "{{json .SPDX}}{{json .}}", "null{}");
        let packages = json!({ "SPDX": { "packages": [{ "name": "a" }] } });
        check(&SBOM, packages, "{{range .SPDX.packages}}{{.name}}{{end}}", "a");
    }
}
