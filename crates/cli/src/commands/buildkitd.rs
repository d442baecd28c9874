//! `mica buildkitd`.

use std::path::{Path, PathBuf};

use engine::{BuildKitFile, LogLevel, Settings};
use spec::Digest;

use super::serve::{GRACE, inherited};
use crate::context::Context;
use crate::doors::{ServeApi, ServeTls, Serving};
use crate::failure::{Failure, Outcome};

/// Where it listens if nobody says.
const SOCKET: &str = "unix:///run/buildkit/buildkitd.sock";
/// What buildkitd's flags ask for that is not done here.
const REFUSED: [(&str, &str); 2] = [
    ("debugaddr", "the process tells nothing of its inside"),
    ("provenance-env-dir", "builds tell nothing of this machine"),
];
/// What builds can be allowed.
const ENTITLEMENTS: [&str; 2] = ["network.host", "security.insecure"];

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let said = |name| matches.string(name).filter(|text| !text.is_empty());
    for (flag, why) in REFUSED {
        if said(flag).is_some() {
            return Err(Failure::new(format!("{flag}: {why}")).hint(format!("leave --{flag} out")));
        }
    }
    if said("log-format").is_some_and(|format| format != "text") {
        let hint = "leave --log-format out";
        return Err(Failure::new("log-format: lines are written as text").hint(hint));
    }
    let path = said("config").unwrap_or_default();
    let file = BuildKitFile::read(Path::new(path), matches.given("config"))
        .map_err(|error| Failure::new(error.to_string()))?;
    let first = |lists: [&[String]; 2]| {
        lists.into_iter().find(|list| !list.is_empty()).map(<[String]>::to_vec)
    };
    let inherited = inherited(context);
    let usual = || vec![if inherited > 0 { "fd://" } else { SOCKET }.to_owned()];
    let hosts = first([matches.list("addr"), &file.grpc.address]).unwrap_or_else(usual);
    let flags = ["tlscacert", "tlscert", "tlskey"].map(|name| said(name).map(PathBuf::from));
    let written = [&file.grpc.tls.ca, &file.grpc.tls.cert, &file.grpc.tls.key];
    let [ca, cert, key] = std::array::from_fn(|at| flags[at].clone().or(written[at].clone()));
    let entitlements =
        first([matches.list("allow-insecure-entitlement"), &file.entitlements]).unwrap_or_default();
    if let Some(other) = entitlements.iter().find(|name| !ENTITLEMENTS.contains(&name.as_str())) {
        return Err(Failure::new(format!("invalid entitlement {other:?}")));
    }
    let mut settings = context.settings()?;
    if matches.flag("debug") || matches.flag("trace") || file.debug {
        settings.log_level = LogLevel::Debug;
    }
    let written = file.root.as_ref().map(|root| root.display().to_string());
    if let Some(root) = said("root").map(str::to_owned).or(written) {
        settings.data_root = std::path::absolute(&root)
            .map_err(|error| Failure::new(format!("cannot find {root}: {error}")))?;
        // What two stores have running stays apart.
        let name = Digest::of(settings.data_root.as_os_str().as_encoded_bytes()).hex();
        settings.run_root = settings.run_root.join("roots").join(&name[..16]);
    }
    // Those of the file are asked first: it was written for this.
    let rules = file.rules(Path::new(path));
    settings.registry.rules.splice(0..0, rules);
    let group = said("group").map(str::to_owned);
    let group = group.or(file.grpc.gid.map(|gid| gid.to_string())).unwrap_or_default();
    crate::rootless::enter(context, &settings)?;
    let server = Server { context, settings: settings.clone() };
    let plan = ServeApi {
        settings,
        hosts,
        inherited,
        group,
        tls: certificates([ca, cert, key])?,
        plain_tcp: matches.flag("allow-plain-tcp"),
        buildkit: true,
        entitlements,
        pid_file: None,
        grace: GRACE,
    };
    (context.doors().serve_api)(plan, &server)?;
    Ok(0)
}

/// A server that has what it was started with until it ends.
struct Server<'a> {
    context: &'a Context,
    settings: Settings,
}

impl Serving for Server<'_> {
    fn ready(&self, place: &str) {
        // What scripts wait for.
        self.context.ui.warn(&format!("running server on {place}"));
    }

    fn reload(&self) -> Option<Settings> {
        Some(self.settings.clone())
    }

    fn ending(&self) {}
}

/// Clients need a certificate where there is an authority for them.
fn certificates(files: [Option<PathBuf>; 3]) -> Result<Option<ServeTls>, Failure> {
    match files {
        [authorities, Some(certificate), Some(key)] => {
            Ok(Some(ServeTls { authorities, certificate, key }))
        }
        [None, None, None] => Ok(None),
        _ => Err(Failure::new("--tlscacert, --tlscert and --tlskey need each other")),
    }
}
