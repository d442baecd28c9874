//! What targets of a bake file ask for that a build is not allowed by itself: whoever calls must
//! grant it, since the file may be somebody else's.

use std::io::{self, IsTerminal};

use engine::{BakePlan, BakeTarget};

use crate::context::Context;
use crate::failure::Failure;

/// What can be granted, and what it means.
const PRIVILEGES: &[(&str, &str)] = &[
    ("network.host", "Running build containers that can access host network"),
    ("security.insecure", "Running privileged containers that can make system changes"),
];

/// What else `--allow` may name: reading and writing of files, agents, images. None of it is refused
/// without.
const OTHERS: &[&str] =
    &["ssh", "fs", "fs.read", "fs.write", "image", "image.load", "image.push", "device"];

/// All that is granted: by flags, or by an answer.
pub(super) fn granted(context: &Context, plan: &BakePlan) -> Result<Vec<String>, Failure> {
    let mut granted = context.matches().list("allow").to_vec();
    let names = || PRIVILEGES.iter().map(|(name, _)| *name).chain(OTHERS.iter().copied());
    let kind = |text: &String| text.split('=').next().unwrap_or_default().to_owned();
    if let Some(unknown) = granted.iter().map(kind).find(|kind| !names().any(|name| name == kind)) {
        return Err(Failure::new(format!("ERROR: unknown entitlement key {unknown:?}")));
    }
    let is_missing = |(name, _): &&(&str, &str)| {
        plan.targets.values().any(|target| asks(target, name))
            && !granted.iter().any(|it| it == name)
    };
    let missing: Vec<_> = PRIVILEGES.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(granted);
    }
    let flags: Vec<String> = missing.iter().map(|(name, _)| format!("--allow={name}")).collect();
    let flags = flags.join(" ");
    let mut told =
        "Your build is requesting privileges for following possibly insecure capabilities:\n\n"
            .to_owned();
    for (_, means) in &missing {
        told.push_str(&format!(" - {means}\n"));
    }
    let is_asked = io::stdin().is_terminal();
    told.push_str(&match is_asked {
        true => format!("\nIn order to not see this message in the future pass {flags:?} to grant requested privileges.\n\n"),
        false => format!("\nPass {flags:?} to grant requested privileges.\n\n"),
    });
    context.ui.print_error(&told);
    let question = "Do you want to grant requested privileges and continue? [y/N] ";
    if !is_asked || !context.ui.confirm(question, true) {
        return Err(Failure::new("ERROR: additional privileges requested"));
    }
    granted.extend(missing.iter().map(|(name, _)| (*name).to_owned()));
    Ok(granted)
}

/// Refuses what a file of somebody else's takes from this machine, or writes to it, that is not
/// granted: secrets, agents, folders outside of this one, results as files.
pub(super) fn refuse_what_is_taken(context: &Context, plan: &BakePlan) -> Result<(), Failure> {
    let granted: Vec<&str> =
        context.matches().list("allow").iter().filter_map(|one| one.split('=').next()).collect();
    let is_outside = |path: &str| match path.strip_prefix("cwd://") {
        Some(path) => path.starts_with('/') || path.split('/').any(|part| part == ".."),
        None => false,
    };
    for (name, target) in &plan.targets {
        let contexts = target.text("context").into_iter();
        let mut contexts = contexts.chain(target.map("contexts").map(|(_, path)| path));
        let writes = |row: &String| row.contains("dest=") && !row.contains("dest=-");
        let rows = [target.rows("output"), target.rows("cache-to")].concat();
        let taken = [
            ("secrets", "fs.read", !target.rows("secret").is_empty()),
            ("folders outside of this one", "fs.read", contexts.any(is_outside)),
            ("agents", "ssh", target.get("ssh").is_some()),
            ("files to be written", "fs.write", rows.iter().any(writes)),
        ];
        for (what, grant, _) in taken.iter().filter(|(_, _, is_asked)| *is_asked) {
            let whole = grant.split('.').next().unwrap_or_default();
            if !granted.iter().any(|one| one == grant || *one == whole) {
                let words = format!("ERROR: target {name} of a remote definition asks for {what}");
                return Err(Failure::new(words).hint(format!("--allow {grant} grants that")));
            }
        }
    }
    Ok(())
}

/// Whether a target asks for a privilege; the host's network for all of it is one.
pub(super) fn asks(target: &BakeTarget, privilege: &str) -> bool {
    let is_host = privilege == "network.host" && target.text("network") == Some("host");
    is_host || target.list("entitlements").iter().any(|one| one == privilege)
}
