//! What is asked of registries, and their refusals in docker's words.

use registry::RegistryError;
use spec::{MediaType, Reference};

use crate::error::EngineError;

/// Whether a tag is only the way to what is said about an image: its signature, attestations or
/// parts, as other tools and we tag them, `sha256-HEX.sig`, or a list of them, `sha256-HEX`.
pub(super) fn is_aside(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("sha256-") else { return false };
    let (hex, kind) = rest.split_once('.').unwrap_or((rest, ""));
    hex.len() == 64
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        && matches!(kind, "" | "sig" | "att" | "sbom")
}

/// Whether what is called so may be a layer.
pub(super) fn is_fetched(kind: &MediaType) -> bool {
    let known =
        ["application/vnd.oci.image.", "application/vnd.docker.", "application/octet-stream"];
    known.iter().any(|known| kind.as_str().starts_with(known))
}

/// A registry's error in the words that docker finds for it: of several it tells the first, and it
/// asks for tags by HEAD.
pub(super) fn pull_error(name: &Reference, error: RegistryError) -> EngineError {
    let (full, repository) = (name.familiar(), name.familiar_name());
    let error = as_asked(name, error);
    if error.has_code("DENIED") {
        return EngineError::PullDenied { name: repository, source: error };
    }
    if error.has_code("MANIFEST_UNKNOWN") {
        return EngineError::NoManifest { name: full, source: error };
    }
    if error.has_code("NAME_UNKNOWN") {
        return EngineError::NoRepository { name: repository, source: error };
    }
    error.into()
}

/// The error of a request as docker makes it.
fn as_asked(name: &Reference, error: RegistryError) -> RegistryError {
    match error {
        RegistryError::Refused { status, mut errors } => {
            errors.truncate(1);
            RegistryError::Refused { status, errors }
        }
        RegistryError::NoCredentials { url, .. } if name.digest().is_none() => {
            RegistryError::NoCredentials { method: "Head", url }
        }
        RegistryError::Unnamed { why, source } => {
            RegistryError::Unnamed { why, source: Box::new(as_asked(name, *source)) }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use spec::Digest;

    use super::*;

    #[test]
    fn signatures_are_no_images() {
        let hex = "0a".repeat(32);
        for kind in ["", ".sig", ".att", ".sbom"] {
            assert!(is_aside(&format!("sha256-{hex}{kind}")), "{kind}");
        }
        for tag in ["latest", "sha256-0a", "sha256-0a.sig", &format!("sha256-{hex}.1"), &hex] {
            assert!(!is_aside(tag), "{tag}");
        }
    }

    #[test]
    fn a_refusal_is_told_as_docker_tells_it() {
        let error = |code: &str| registry::ApiError { code: code.into(), message: "m".into() };
        let name = Reference::parse("r.org/a:1").unwrap();
        let errors = vec![error("DENIED"), error("MANIFEST_UNKNOWN")];
        let told = pull_error(&name, RegistryError::Refused { status: 403, errors });
        assert!(matches!(told, EngineError::PullDenied { .. }), "{told}");
        let errors = vec![error("TOOMANYREQUESTS"), error("UNKNOWN")];
        let told = pull_error(&name, RegistryError::Refused { status: 429, errors });
        assert_eq!(told.to_string(), "toomanyrequests: m");
        let nobody = || RegistryError::NoCredentials { method: "Get", url: "u".into() };
        assert_eq!(
            pull_error(&name, nobody()).to_string(),
            "Head \"u\": no basic auth credentials"
        );
        let source = Box::new(nobody());
        let unnamed = RegistryError::Unnamed { why: "no helper".into(), source };
        assert_eq!(
            pull_error(&name, unnamed).to_string(),
            "Head \"u\": no basic auth credentials: no helper"
        );
        let name = name.with_digest(Digest::of(b""));
        assert_eq!(pull_error(&name, nobody()).to_string(), "Get \"u\": no basic auth credentials");
    }
}
