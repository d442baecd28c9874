//! `RUN`: a command in a writable tree whose changes become a layer.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use ::build::change::Circumstances;
use ::build::config::{self, Started};
use ::build::graph::{Step, StepId};
use ::build::instruction::{Command, Device, Run};
use ::build::key::{About, Key, apart};
use ::build::scope::{PROXY_ARGUMENTS, Scope};
use ::build::solver::Inputs;
use runtime::once::Ended;
use serde_json::value::RawValue;
use spec::{ContainerId, Digest, HostConfig, Timestamp, Ulimit};
use store::{Lasting, Lease, Snapshot, StepRecord, Store};

use super::fresh::Fresh;
use super::layers;
use super::mounts::Mounts;
use super::tell::Telling;
use super::tracks::Left;
use super::work::{Builder, Layered, Made, Wanted, parent, shown};
use crate::container::{Registered, StepCommand, StepNetwork};
use crate::error::{EngineError, Result};

/// What is kept of a step's output to be shown again if it fails.
const KEPT_BYTES: usize = 64 << 10;
/// The argument that says what the host is called in a build.
const HOSTNAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";
/// The network of steps that ask for none in particular.
const NETWORK: &str = "default";

impl Builder<'_> {
    /// What a command's outcome depends on.
    pub(super) fn run_key(
        &self,
        step: &Step,
        run: &Run,
        scope: &Scope,
        inputs: &Inputs<Made>,
        wanted: &mut Wanted,
    ) -> Result<Option<Key>> {
        let below = parent(inputs);
        let configured = &below.configured;
        let Started { words, script } = config::started(configured.shell(), run);
        // Words of the user's own are told apart. Those for a shell end with all that it is given, so
        // they can be told from each other unless a space is in the shell's own.
        let is_plain = |shell: &[String]| !shell.iter().any(|word| word.contains(' '));
        let told = match (&run.command, words.split_last()) {
            (Command::Shell(_), Some((_, shell))) if is_plain(shell) => words.join(" "),
            _ => apart(&words),
        };
        let told = format!("RUN {told}");
        let mut key = Key::default().with(About::Instruction, "", told);
        if let Some((name, content)) = script {
            key = key.with(About::Instruction, &name, content);
        }
        key = key.with(About::Base, "", shown(below.top));
        for (name, value) in config::visible_arguments(scope) {
            // How the web is reached changes nothing of what is found there.
            if !PROXY_ARGUMENTS.contains(&name.as_str()) {
                key = key.with(About::Argument, &name, value);
            }
        }
        let env = configured.env().list();
        for (name, value) in env.iter().filter_map(|pair| pair.split_once('=')) {
            key = key.with(About::Environment, name, value);
        }
        key = key
            .with(About::Setting, "user", configured.user())
            .with(About::Setting, "folder", configured.working_dir())
            .with(About::Setting, "network", self.asked_network(run))
            .with(About::Setting, "security", if run.insecure { "insecure" } else { "sandbox" });
        key = self.host_key(key);
        if !run.devices.is_empty() {
            let devices = self.asked_devices(run, step, scope)?;
            let names: Vec<&str> = devices.iter().map(|own| own.name.as_str()).collect();
            key = key.with(About::Setting, "devices", apart(&names));
        }
        if let Some(circumstances) = &run.circumstances {
            let told = Circumstances { proxies: Vec::new(), ..(**circumstances).clone() };
            key = key.with(About::Setting, "circumstances", format!("{told:?}"));
        }
        self.mounts_key(key, step, run, scope, inputs, wanted).map(Some)
    }

    /// Adds what the build says of the host that all commands see, as far as it is said. Where a name
    /// of a host leads may change, as with BuildKit: it is found out anew each time.
    fn host_key(&self, mut key: Key) -> Key {
        let HostConfig { extra_hosts, resources, shm_size, .. } = &self.request.host;
        if let Some(name) = self.hostname() {
            key = key.with(About::Setting, "hostname", name);
        }
        let names = extra_hosts.iter().flatten().filter_map(|host| host.split([':', '=']).next());
        let names: Vec<&str> = names.collect();
        if !names.is_empty() {
            key = key.with(About::Setting, "hosts", apart(&names));
        }
        let limit = |own: &Ulimit| format!("{}={}:{}", own.name, own.soft, own.hard);
        let limits: Vec<String> = resources.ulimits.iter().flatten().map(limit).collect();
        if !limits.is_empty() {
            key = key.with(About::Setting, "ulimits", apart(&limits));
        }
        match shm_size {
            0 => key,
            bytes => key.with(About::Setting, "shm-size", bytes.to_string()),
        }
    }

    /// What the host is to be called.
    fn hostname(&self) -> Option<&str> {
        self.request.arguments.get(HOSTNAME).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The network of a command: its own, or else that of the build.
    fn asked_network<'a>(&'a self, run: &'a Run) -> &'a str {
        let own = run.network.as_deref().unwrap_or(NETWORK);
        let all = [own, self.request.host.network_mode.as_str()];
        all.into_iter().find(|name| !["", NETWORK].contains(name)).unwrap_or(NETWORK)
    }

    /// Runs a command and takes in what it changed.
    pub(super) fn run(
        &self,
        at: StepId,
        run: &Run,
        scope: &Scope,
        inputs: &Inputs<Made>,
        telling: &Telling<'_>,
    ) -> Result<Layered> {
        let below = parent(inputs);
        let config = &below.configured.config();
        let Started { words, script } = config::started(below.configured.shell(), run);
        if words.is_empty() {
            return Err(EngineError::Refused("process argument list is empty".to_owned()));
        }
        self.allow(run)?;
        let step = &self.graph.steps[at];
        let devices = self.devices(run, step, scope, telling)?;
        super::foreign::check(&below.platform)?;
        let circumstances = run.circumstances.as_deref();
        let hosts = circumstances.map_or(&[][..], |own| &own.hosts);
        let network = self.network(run.network.as_deref().unwrap_or(NETWORK), hosts)?;
        let scratch = Scratch::new(self.store(), self.lease, below.top)?;
        let root = self.store().mount_snapshot(&scratch.snapshot, Lasting::ThrownAway)?;
        let mut mounts = Mounts::prepare(self, step, run, scope, script, inputs)?;
        let random = sys::host::random_bytes();
        let id = ContainerId::of(random.map_err(EngineError::io("read", "/dev/urandom"))?);
        let command = StepCommand {
            id,
            words: words.clone(),
            config,
            env: self.variables(scope, circumstances, &mounts),
            mounts: std::mem::take(&mut mounts.list),
            insecure: run.insecure,
            devices,
            hostname: self.hostname(),
            circumstances,
        };
        let mut kept = Tail::default();
        let mut output = |bytes: &[u8]| {
            telling.output(bytes);
            kept.add(bytes);
        };
        let is_stopped = || self.teller.watch.is_stopped();
        let mut fresh = Fresh::touch(self, &root, &mounts.caches, step, below)?;
        telling.runs(&id);
        let ended = self.engine.run_step(&root, &network, command, &mut output, &is_stopped)?;
        let untouched = fresh.untouched(&root);
        drop(root);
        self.store().untouch(&scratch.snapshot, &untouched)?;
        let good_codes = circumstances.map_or(&[][..], |own| &own.good_codes);
        if let Err(error) = judged(&words, ended, good_codes) {
            // What cannot be kept cannot be looked at; why the command failed is what counts.
            let _ = self.keep_left(at, &scratch.snapshot, below);
            return Err(self.fail(at, kept.text(), error));
        }
        fresh.remember(below.top)?;
        let unpacked =
            self.store().unpack_snapshot(self.lease, &scratch.snapshot, Some(below.epoch))?;
        drop(scratch);
        let (top, layer) = layers::adopt(self.store(), self.lease, unpacked, below.top)?;
        self.note_written(at, mounts.written(self, below.epoch)?)?;
        Ok((Some(top), Some(layer)))
    }

    /// Keeps what a command that failed left, remembered as what steps give: it goes with them.
    fn keep_left(&self, at: StepId, snapshot: &Snapshot, below: &Made) -> Result<()> {
        let unpacked = self.store().unpack_snapshot(self.lease, snapshot, None)?;
        let (top, layer) = layers::adopt(self.store(), self.lease, unpacked, below.top)?;
        let key =
            self.keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&at).copied();
        if let Some(key) = key {
            let record = StepRecord {
                top: Some(top),
                layer: Some(layer),
                text: format!("{} (failed)", self.graph.steps[at].text),
                made: Timestamp::now().unix_seconds(),
                rest: RawValue::NULL.to_owned(),
            };
            // Under another name than what it would have given.
            self.store().remember_step(&Digest::of(format!("failed {key}").as_bytes()), &record)?;
        }
        self.tracks.change(at, |track| {
            track.state = Some((Some(top), below.configured.clone()));
            track.left = Some(Left { below: below.top, top });
        });
        Ok(())
    }

    /// What a command sees besides the image's variables.
    fn variables(
        &self,
        scope: &Scope,
        circumstances: Option<&Circumstances>,
        mounts: &Mounts,
    ) -> Vec<String> {
        let mut list = proxies(&self.request.arguments);
        let proxies = circumstances.map_or(&[][..], |own| &own.proxies);
        list.extend(proxies.iter().map(|(name, value)| format!("{name}={value}")));
        let arguments = config::visible_arguments(scope);
        list.extend(arguments.into_iter().map(|(name, value)| format!("{name}={value}")));
        list.extend(mounts.env.iter().cloned());
        list
    }

    /// Refuses what a build must be allowed expressly.
    fn allow(&self, run: &Run) -> Result<()> {
        let allowed = |name: &str| self.request.allowed.iter().any(|allowed| allowed == name);
        if run.insecure && !allowed("security.insecure") {
            return refused("security.insecure");
        }
        if run.network.as_deref() == Some("host") && !allowed("network.host") {
            return refused("network.host");
        }
        Ok(())
    }

    /// The devices of a command with their variables replaced by what they hold.
    fn asked_devices(&self, run: &Run, step: &Step, scope: &Scope) -> Result<Vec<Device>> {
        let expand = |word: &str| scope.expand(word, step.span, self.escape);
        let expanded = |device: &Device| Ok(device.expanded(step.span, &expand)?);
        run.devices.iter().map(expanded).collect()
    }

    /// The devices that a command is to have, by their full names. One that is not there and need not
    /// be is told and left out.
    fn devices(
        &self,
        run: &Run,
        step: &Step,
        scope: &Scope,
        telling: &Telling<'_>,
    ) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for Device { name: asked, required, .. } in self.asked_devices(run, step, scope)? {
            let found = Registered::called(&asked);
            if found.is_empty() {
                let words = format!("device {asked} is not registered");
                if required {
                    return Err(EngineError::Refused(format!("required {words}")));
                }
                telling.note(&words);
            }
            for Registered { name, is_free } in found {
                let is_it = |own: &String| own == "device" || *own == format!("device={name}");
                if !is_free && !self.request.allowed.iter().any(is_it) {
                    return refused("device");
                }
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The network that a step asks for, with hosts of its own; steps that ask for the same share it.
    fn network(&self, name: &str, hosts: &[String]) -> Result<Arc<StepNetwork>> {
        let mut networks = self.network.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let asked = [&[name.to_owned()], hosts].concat();
        if let Some(known) = networks.get(&asked) {
            return Ok(known.clone());
        }
        let mut host = self.request.host.clone();
        if name != NETWORK {
            name.clone_into(&mut host.network_mode);
        }
        if !hosts.is_empty() {
            host.extra_hosts.get_or_insert_default().extend(hosts.iter().cloned());
        }
        let joined = Arc::new(StepNetwork::join(self.engine, &host)?);
        networks.insert(asked, joined.clone());
        Ok(joined)
    }
}

/// How the web is reached, in capitals and in small letters whichever of them was given: programs
/// look for one or the other.
fn proxies(given: &BTreeMap<String, String>) -> Vec<String> {
    let other = |name: &str| given.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    let value = |name: &str| given.get(name).or_else(|| other(name).map(|(_, value)| value));
    let known = PROXY_ARGUMENTS.iter().filter_map(|name| Some((name, value(name)?)));
    let said = known.filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}={value}")).collect()
}

fn refused<T>(name: &str) -> Result<T> {
    Err(EngineError::Refused(format!(
        "granting entitlement {name} is not allowed by build daemon configuration: use --allow {name}"
    )))
}

/// Whether a command ended well.
fn judged(words: &[String], ended: Ended, good_codes: &[i64]) -> Result<()> {
    let failed = |how: String| Err(EngineError::StepFailed { words: words.join(" "), how });
    match ended {
        Ended::Exited(code) if good_codes.contains(&i64::from(code)) => Ok(()),
        Ended::Exited(0) if good_codes.is_empty() => Ok(()),
        Ended::Exited(code) => failed(format!("exit code: {code}")),
        Ended::OutOfMemory(code) => failed(format!("exit code: {code}: cannot allocate memory")),
        Ended::Failed(failure) => {
            let because = failure.because.join(": ");
            let why = [failure.message, because].join(": ");
            Err(EngineError::Start(why.trim_end_matches([':', ' ']).to_owned()))
        }
    }
}

/// A writable tree that goes when it is dropped.
pub(super) struct Scratch<'a> {
    store: &'a Store,
    pub(super) snapshot: Snapshot,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(
        store: &'a Store,
        lease: &Lease,
        below: Option<spec::ChainId>,
    ) -> Result<Scratch<'a>> {
        Ok(Scratch { store, snapshot: store.scratch_snapshot(lease, below)? })
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What cannot be removed now goes with the lease.
        let _ = self.store.discard_snapshot(&self.snapshot);
    }
}

/// The last of what was printed.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
        if self.0.len() > 2 * KEPT_BYTES {
            self.0.drain(..self.0.len() - KEPT_BYTES);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_have_names_in_both_cases() {
        let check = |given: &[(&str, &str)], wanted: &[&str]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            assert_eq!(proxies(&given.iter().map(own).collect()), wanted, "{given:?}");
        };
        check(&[("HTTP_PROXY", "p"), ("A", "1")], &["HTTP_PROXY=p", "http_proxy=p"]);
        check(&[("no_proxy", "h")], &["NO_PROXY=h", "no_proxy=h"]);
        check(&[("all_proxy", "a"), ("ALL_PROXY", "b")], &["ALL_PROXY=b", "all_proxy=a"]);
        check(&[("ftp_proxy", "")], &[]);
    }
}
