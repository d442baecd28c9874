//! What depends on the version of the API that a client speaks: the one list of it, but for whole
//! paths, whose first versions stand with the routes.

use serde_json::{Value, json};

/// What a version brought, as `1.MINOR`. Who speaks an older one gets what there was before.
pub(crate) mod brought {
    /// A list of images is no longer narrowed by `filter`, but by `filters` alone.
    pub(crate) const IMAGE_FILTERS: u32 = 41;
    /// A container is made for a platform.
    pub(crate) const PLATFORM_TO_CREATE: u32 = 41;
    /// A single sample is given at once.
    pub(crate) const ONE_SHOT: u32 = 41;
    /// A stream says by its kind whether it comes in pieces of both outputs.
    pub(crate) const KINDS_OF_STREAMS: u32 = 42;
    /// A web socket carries only the streams that are asked for.
    pub(crate) const CHOSEN_STREAMS: u32 = 42;
    /// A container is stopped with a signal of the client's choice.
    pub(crate) const STOP_SIGNAL: u32 = 42;
    /// Volumes with a name are pruned only if that is asked for.
    pub(crate) const ANONYMOUS_PRUNE: u32 = 42;
    /// The sizes of single kinds of things can be asked for; of steps there is no sum any more, and
    /// no single parent.
    pub(crate) const KINDS_OF_USAGE: u32 = 42;
    /// What images share can be asked for.
    pub(crate) const SHARED_SIZE: u32 = 42;
    /// An image without names has none, where it was called `<none>`.
    pub(crate) const NO_NAMES: u32 = 43;
    /// A container is made in several networks.
    pub(crate) const SEVERAL_NETWORKS: u32 = 44;
    /// Options of mounts fit the mount's kind, and are refused where they do not.
    pub(crate) const FITTING_OPTIONS: u32 = 42;
    /// Who says nothing shares its memory with others that ask for it, as all did before.
    pub(crate) const PRIVATE_IPC: u32 = 40;
    /// A read-only mount can be asked to be so all the way down.
    pub(crate) const FORCED_READ_ONLY: u32 = 44;
    /// A part of a volume is mounted.
    pub(crate) const SUBPATH_OF_VOLUMES: u32 = 45;
    /// An image is mounted, and the history of one platform is asked for.
    pub(crate) const IMAGES_AS_MOUNTS: u32 = 48;
    pub(crate) const PLATFORM_OF_HISTORY: u32 = 48;
    /// One platform of an image is looked at.
    pub(crate) const PLATFORM_OF_INSPECT: u32 = 49;
    /// An image has one size.
    pub(crate) const ONE_SIZE: u32 = 44;
    /// An image does not tell of the container that it came from.
    pub(crate) const NO_CONTAINER_CONFIG: u32 = 45;
    /// An image's configuration has no fields that only containers have.
    pub(crate) const SLIM_IMAGE_CONFIG: u32 = 50;
    /// A list of images counts the containers of each.
    pub(crate) const CONTAINERS_OF_IMAGES: u32 = 51;
}

/// From when to when there is a field.
pub(crate) enum When {
    /// From this version on; what an older client says in it is not heard.
    Since(u32),
    /// Before this version; older clients are shown this.
    Until(u32, fn() -> Value),
}

/// A field, by the way that leads to it.
pub(crate) type Field = (&'static [&'static str], When);

/// Fields of what a container is made from.
pub(crate) const NEW_CONTAINER: &[Field] = &[
    (&["HostConfig", "CgroupnsMode"], When::Since(41)),
    (&["HostConfig", "ConsoleSize"], When::Since(42)),
    (&["HostConfig", "Annotations"], When::Since(43)),
    (&["Healthcheck", "StartInterval"], When::Since(44)),
];

/// Fields of what is told of the engine.
pub(crate) const INFO: &[Field] = &[
    (&["CgroupVersion"], When::Since(41)),
    (&["ContainerdCommit", "Expected"], When::Until(49, nothing)),
    (&["BridgeNfIptables"], When::Until(50, on)),
    (&["BridgeNfIp6tables"], When::Until(50, on)),
    (&["RuncCommit", "Expected"], When::Until(49, nothing)),
    (&["InitCommit", "Expected"], When::Until(49, nothing)),
    (&["RegistryConfig", "AllowNondistributableArtifactsCIDRs"], When::Until(49, none)),
    (&["RegistryConfig", "AllowNondistributableArtifactsHostnames"], When::Until(49, none)),
];

/// Fields of a container in a list.
pub(crate) const CONTAINER_ROW: &[Field] = &[
    (&["HostConfig", "Annotations"], When::Since(46)),
    (&["ImageManifestDescriptor"], When::Since(48)),
];

/// Fields of a container.
pub(crate) const CONTAINER: &[Field] = &[(&["ImageManifestDescriptor"], When::Since(48))];

fn on() -> Value {
    json!(true)
}

fn nothing() -> Value {
    json!("")
}

fn none() -> Value {
    json!([])
}

/// Takes out of a document what clients of this version do not say, however they spell it.
pub(crate) fn hear(document: &mut Value, fields: &[Field], minor: u32) {
    for (path, when) in fields {
        if matches!(when, When::Since(first) if minor < *first) {
            forget(document, path);
        }
    }
}

fn forget(document: &mut Value, path: &[&str]) {
    let (Some((name, below)), Some(members)) = (path.split_first(), document.as_object_mut())
    else {
        return;
    };
    if below.is_empty() {
        members.retain(|own, _| !own.eq_ignore_ascii_case(name));
    }
    let meant = members.iter_mut().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    meant.for_each(|(_, part)| forget(part, below));
}

/// Makes of a document what clients of this version know.
pub(crate) fn fit(document: &mut Value, fields: &[Field], minor: u32) {
    for (path, when) in fields {
        let Some((last, above)) = path.split_last() else { continue };
        let parent = above.iter().try_fold(&mut *document, |part, name| part.get_mut(*name));
        let Some(parent) = parent.and_then(Value::as_object_mut) else { continue };
        match when {
            When::Since(first) if minor < *first => _ = parent.remove(*last),
            When::Until(first, value) if minor < *first => {
                parent.entry(*last).or_insert_with(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        (&["New"], When::Since(45)),
        (&["Part", "New"], When::Since(46)),
        (&["Part", "Old"], When::Until(44, nothing)),
        (&["None", "Old"], When::Until(44, nothing)),
    ];

    #[track_caller]
    fn check(minor: u32, expected: Value) {
        let mut document = json!({ "New": 1, "Part": { "New": 2 }, "Own": 3 });
        fit(&mut document, FIELDS, minor);
        assert_eq!(document, expected);
    }

    #[test]
    fn clients_say_what_their_version_has() {
        let mut document =
            json!({ "new": 1, "Part": { "NEW": 2, "Old": 4 }, "part": { "New": 3 } });
        hear(&mut document, FIELDS, 45);
        assert_eq!(document, json!({ "new": 1, "Part": { "Old": 4 }, "part": {} }));
        hear(&mut document, FIELDS, 44);
        assert_eq!(document, json!({ "Part": { "Old": 4 }, "part": {} }));
    }

    #[test]
    fn clients_see_what_their_version_has() {
        check(43, json!({ "Part": { "Old": "" }, "Own": 3 }));
        check(44, json!({ "Part": {}, "Own": 3 }));
        check(45, json!({ "New": 1, "Part": {}, "Own": 3 }));
        check(46, json!({ "New": 1, "Part": { "New": 2 }, "Own": 3 }));
    }
}
