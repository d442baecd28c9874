//! Which engine a command line means: this process, over the store of this machine; or another one,
//! as docker's flags, variables and contexts say it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use client::{Endpoint, TlsFiles};

use super::contexts::{Contexts, DEFAULT};
use crate::args::Matches;
use crate::failure::Failure;

/// The engine that is meant by flags and environment; none for the one in this process.
pub(crate) fn endpoint(
    globals: &Matches,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Endpoint>, Failure> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let contexts = Contexts::of(environment);
    match current(globals, environment, &contexts)? {
        Some(name) => of_context(&contexts, &name).map(Some),
        None => {
            let host = globals.list("host").last().or(variable("DOCKER_HOST"));
            let Some(host) = host else { return Ok(None) };
            let tls = tls(globals, environment, &contexts);
            Ok(Some(Endpoint::parse(host, tls)?))
        }
    }
}

/// The context that is meant; none for the default one.
pub(crate) fn current(
    globals: &Matches,
    environment: &BTreeMap<String, String>,
    contexts: &Contexts,
) -> Result<Option<String>, Failure> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let flag = globals.string("context").filter(|name| !name.is_empty()).map(str::to_owned);
    let hosts = globals.list("host");
    if flag.is_some() && !hosts.is_empty() {
        let words = "conflicting options: cannot specify both --host and --context";
        return Err(Failure::new(words));
    }
    if hosts.len() > 1 {
        return Err(Failure::new("specify only one -H"));
    }
    let named = match flag {
        Some(name) => Some(name),
        None if !hosts.is_empty() || variable("DOCKER_HOST").is_some() => None,
        None => match variable("DOCKER_CONTEXT") {
            Some(name) => Some(name),
            None => contexts.chosen(),
        },
    };
    Ok(named.filter(|name| name != DEFAULT))
}

fn of_context(contexts: &Contexts, name: &str) -> Result<Endpoint, Failure> {
    let meta = contexts.find(name)?;
    let place = meta.endpoints.get("docker").map(|place| place.host.clone()).unwrap_or_default();
    if place.is_empty() {
        return Err(Failure::new(format!("context {name:?} names no engine")));
    }
    Ok(Endpoint::parse(&place, contexts.tls(&meta))?)
}

/// What is proved on both sides, if anything is. Files that nobody has named count where they are.
fn tls(
    globals: &Matches,
    environment: &BTreeMap<String, String>,
    contexts: &Contexts,
) -> Option<TlsFiles> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let verifies = match globals.given("tlsverify") {
        true => globals.flag("tlsverify"),
        false => variable("DOCKER_TLS_VERIFY").is_some(),
    };
    let given = ["tlscacert", "tlscert", "tlskey"].iter().any(|name| globals.given(name));
    if !verifies && !globals.flag("tls") && !given && variable("DOCKER_TLS").is_none() {
        return None;
    }
    let folder = variable("DOCKER_CERT_PATH").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| contexts.folder().to_owned());
    let file = |flag: &str, usual: &str| match globals.string(flag) {
        Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
        _ => Some(folder.join(usual)).filter(|path| path.exists()),
    };
    let own = file("tlscert", "cert.pem").zip(file("tlskey", "key.pem"));
    let authorities = match verifies {
        // Without a file to check with, there is nobody to believe: the error names it.
        true => Some(file("tlscacert", "ca.pem").unwrap_or_else(|| folder.join("ca.pem"))),
        false => None,
    };
    Some(TlsFiles { authorities, own })
}
