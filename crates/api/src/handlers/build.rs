//! Builds as docker's older builder asks for them: a context in the body, all else in the address,
//! and a stream of what is done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use engine::{
    BuildInput, BuildRequest, BuildWatch, CacheFilter, CachePlace, CacheUse, ContextSource,
    DockerfileSource, Engine, EngineError, KeepCache, Naming, News, Output, Packing, PlannedLine,
    PruneCache, Push, Secret,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spec::go_json::{self, Behind};
use spec::{ContainerId, HostConfig, ImageId, Reference, Ulimit};

use super::images::platform;
use super::transfer::AuthConfig;
use crate::call::Call;
use crate::filters::Filters;
use crate::progress::JsonProgress;
use crate::query::Query;
use crate::refusal::{Refusal, chain};
use crate::reply::Reply;

pub(crate) fn build(mut call: Call) -> Result<Reply, Refusal> {
    match call.query.text("version") {
        "2" => return super::buildkit::build(call),
        "" | "1" => {}
        other => return Err(Refusal::bad(format!("invalid version: {other}"))),
    }
    let isolation = call.query.text("isolation");
    if !(isolation.is_empty() || isolation.eq_ignore_ascii_case("default")) {
        return Err(Refusal::bad(format!("unsupported isolation: {isolation:?}")));
    }
    let request = request(&call)?;
    let query = &call.query;
    let dockerfile = match query.given("dockerfile") {
        None | Some("Dockerfile") => DockerfileSource::Usual,
        Some(path) => DockerfileSource::Path(PathBuf::from(path)),
    };
    let remote = query.given("remote").filter(|text| *text != "client-session");
    let url = match remote {
        Some(url) if engine::is_remote_context(url) => Some(url.to_owned()),
        Some(other) => {
            return Err(Refusal::bad(format!("{other:?} is no context that can be fetched")));
        }
        None => None,
    };
    let (quiet, names) = (query.flag("q"), query.list("t"));
    let (removes, removes_failed) = (query.flag_or("rm", true), query.flag("forcerm"));
    let engine = engine_for(&call)?;
    let body = call.body.take_all();
    Ok(Reply::stream("application/json", move |sink| {
        let context = match url {
            Some(url) => ContextSource::Url(url),
            None => ContextSource::Reader(Box::new(body)),
        };
        let progress = JsonProgress::new(sink, quiet);
        let watch = Steps { progress, quiet, removes, removes_failed, script: Mutex::default() };
        let built = engine.build(BuildInput { context, dockerfile }, &request, &watch);
        if let Some(image) = built.as_ref().ok().and_then(|built| built.images.first()) {
            watch.end(&image.id);
        }
        let Steps { progress, .. } = watch;
        let ended = match built {
            Err(failure) => match status(&failure.error) {
                Some((code, message)) => {
                    // The client ends with the same code.
                    let detail = json!({ "code": code, "message": message });
                    progress.tell(&json!({ "errorDetail": detail, "error": message }));
                    Ok(())
                }
                None => Err(Refusal::bad(chain(&failure.error))),
            },
            Ok(built) => {
                let line = |text: String| progress.tell(&json!({ "stream": text }));
                if let Some(image) = built.images.first() {
                    match quiet {
                        true => line(format!("{}\n", image.id)),
                        false => {
                            progress.tell(&json!({ "aux": { "ID": image.id.to_string() } }));
                            line(format!("Successfully built {}\n", image.id.0.short()));
                        }
                    }
                }
                let tagged = names.iter().filter(|_| !quiet);
                let full = tagged.filter_map(|name| Reference::parse(name).ok());
                full.for_each(|name| {
                    let name = name.with_default_tag().familiar();
                    line(format!("Successfully tagged {name}\n"));
                });
                Ok(())
            }
        };
        progress.end(ended)
    }))
}

/// What a command of a step ended with, and the older builder's words about it.
fn status(error: &EngineError) -> Option<(i32, String)> {
    let EngineError::StepFailed { words, how } = error else { return None };
    let code = how.strip_prefix("exit code: ")?.parse().ok()?;
    Some((code, format!("The command '{words}' returned a non-zero code: {code}")))
}

/// The engine, whose builds are to registries who the client says that it is, and nobody else.
fn engine_for(call: &Call) -> Result<Engine, Refusal> {
    let mut settings = (*call.app.settings()).clone();
    let text = call.header("x-registry-config");
    let bytes = URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).unwrap_or_default();
    let known: BTreeMap<String, AuthConfig> =
        go_json::from_slice(&bytes, Behind::Ignored).unwrap_or_default();
    let auths: BTreeMap<String, Value> =
        known.into_iter().filter_map(|(host, config)| Some((host, config.written()?))).collect();
    let kept = &mut settings.registry.credentials;
    kept.inline = Some(Secret::new(json!({ "auths": auths }).to_string()));
    // Places where nothing is: what is known of the user who serves is not the client's.
    let nowhere = PathBuf::from("/proc/self/fdinfo/none");
    (kept.docker_config, kept.vault) = (nowhere.clone(), nowhere);
    kept.others.clear();
    Ok(Engine::open(settings)?)
}

fn request(call: &Call) -> Result<BuildRequest, Refusal> {
    let query = &call.query;
    for name in ["securityopt", "outputs"] {
        if !matches!(query.text(name), "" | "0" | "false" | "null" | "[]") {
            return Err(Refusal::unsupported(format!("builds with {name} are not supported")));
        }
    }
    let names = query.list("t");
    let names = names.iter().filter(|text| !text.is_empty()).map(|text| name(text));
    let arguments: BTreeMap<String, Option<String>> = document(query, "buildargs")?;
    // One without a value is the client's own business.
    let arguments = arguments.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(BuildRequest {
        arguments: arguments.collect(),
        target: query.given("target").map(str::to_owned),
        platforms: platform(call)?.into_iter().collect(),
        outputs: vec![Output::Image {
            names: names.collect::<Result<_, _>>()?,
            push: Push::No,
            packing: Packing::default(),
            naming: Naming::default(),
        }],
        labels: document(query, "labels")?,
        cache: if query.flag("nocache") { CacheUse::None } else { CacheUse::All },
        cache_from: cache_from(query)?,
        pull: query.flag("pull"),
        squash: query.flag("squash"),
        host: host(query)?,
        ..BuildRequest::default()
    })
}

/// Images that know their own steps. One that has none is passed over.
fn cache_from(query: &Query) -> Result<Vec<CachePlace>, Refusal> {
    let names: Vec<String> = document(query, "cachefrom")?;
    let place = |text: &String| {
        let name = Reference::parse(text).map_err(|error| Refusal::bad(error.to_string()))?;
        Ok(CachePlace::Registry(name.with_default_tag()))
    };
    names.iter().map(place).collect()
}

fn name(text: &str) -> Result<Reference, Refusal> {
    let wrong = |why: String| Refusal::bad(format!("invalid tag {text:?}: {why}"));
    let name = Reference::parse(text).map_err(|error| wrong(error.to_string()))?;
    match name.digest() {
        Some(_) => Err(wrong("refusing to create a tag with a digest reference".to_owned())),
        None => Ok(name.with_default_tag()),
    }
}

/// A parameter that is a document; what is not said or `null` is empty.
pub(super) fn document<T: DeserializeOwned + Default>(
    query: &Query,
    name: &str,
) -> Result<T, Refusal> {
    let Some(text) = query.given(name) else { return Ok(T::default()) };
    let read: Result<Option<T>, _> = go_json::from_slice(text.as_bytes(), Behind::Refused);
    let wrong = |error| Refusal::bad(format!("error reading {name}: {error}"));
    Ok(read.map_err(wrong)?.unwrap_or_default())
}

/// How steps are run.
fn host(query: &Query) -> Result<HostConfig, Refusal> {
    let mut host = HostConfig::default();
    query.given("networkmode").unwrap_or("default").clone_into(&mut host.network_mode);
    let hosts: Vec<String> = query.list("extrahosts");
    let hosts: Vec<String> =
        hosts.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
    host.extra_hosts = Some(hosts).filter(|hosts| hosts.iter().any(|line| !line.is_empty()));
    let number = |name: &str| Ok::<_, Refusal>(query.number::<i64>(name)?.unwrap_or_default());
    host.shm_size = number("shmsize")?;
    let resources = &mut host.resources;
    resources.memory = number("memory")?;
    resources.memory_swap = number("memswap")?;
    resources.cpu_shares = number("cpushares")?;
    resources.cpu_period = number("cpuperiod")?;
    resources.cpu_quota = number("cpuquota")?;
    query.text("cpusetcpus").clone_into(&mut resources.cpuset_cpus);
    query.text("cpusetmems").clone_into(&mut resources.cpuset_mems);
    query.text("cgroupparent").clone_into(&mut resources.cgroup_parent);
    let limits: Vec<Ulimit> = document(query, "ulimits")?;
    resources.ulimits = Some(limits).filter(|limits| !limits.is_empty());
    Ok(host)
}

/// A build's steps as lines of the older builder.
struct Steps<'a> {
    progress: JsonProgress<'a>,
    quiet: bool,
    /// Whether the client asked for the removal of commands' containers, and of those that failed; they
    /// go in any case.
    removes: bool,
    removes_failed: bool,
    script: Mutex<Script>,
}

/// The instructions that are carried out, and how far they are told.
#[derive(Default)]
struct Script {
    lines: Vec<PlannedLine>,
    told: Vec<bool>,
    /// Which lines are carried out, and the images that they make.
    images: BTreeMap<usize, Option<ImageId>>,
    /// The numbers of steps that are the Dockerfile's.
    numbers: BTreeSet<usize>,
    /// The containers that commands of steps run in.
    containers: BTreeMap<usize, ContainerId>,
}

impl Script {
    /// A step begins: its line, after those above it that are done by being told.
    fn begin(&mut self, title: &str) -> Vec<String> {
        let is_it = |line: &PlannedLine| line.title.as_deref() == Some(title);
        let Some(at) = self.lines.iter().position(is_it) else { return Vec::new() };
        let is_done =
            |above: &usize| self.lines[*above].title.is_none() || self.images.contains_key(above);
        let above = (0..at).filter(is_done);
        let wanted: Vec<usize> = above.chain([at]).collect();
        self.tell(&wanted)
    }

    /// The instruction of a line is carried out. The image of the last is told when all is done: it is
    /// the build's.
    fn reached(&mut self, line: usize, image: Option<&ImageId>) -> Vec<String> {
        let at = self.lines.iter().position(|own| own.line == line);
        let is_last = |at: &usize| at + 1 == self.lines.len();
        let is_known = |at: &usize| self.images.contains_key(at);
        let Some(at) = at.filter(|at| !is_last(at) && !is_known(at)) else { return Vec::new() };
        self.images.insert(at, image.copied());
        if self.told[at] {
            return vec![arrow(image)];
        }
        match self.told[..at].iter().all(|told| *told) {
            true => self.tell(&[at]),
            false => Vec::new(),
        }
    }

    /// What is left to be told when all is done.
    fn end(&mut self) -> Vec<String> {
        let all: Vec<usize> = (0..self.lines.len()).collect();
        self.tell(&all)
    }

    fn tell(&mut self, wanted: &[usize]) -> Vec<String> {
        let of = self.lines.len();
        let mut told = Vec::new();
        for at in wanted {
            if !std::mem::replace(&mut self.told[*at], true) {
                told.push(format!("Step {}/{of} : {}\n", at + 1, self.lines[*at].text));
                told.extend(self.images.get(at).map(|image| arrow(image.as_ref())));
            }
        }
        told
    }
}

/// The line about the image after a step; before there is one, nothing follows the arrow.
fn arrow(image: Option<&ImageId>) -> String {
    format!(" ---> {}\n", image.map(|id| id.0.short().to_string()).unwrap_or_default())
}

impl Steps<'_> {
    fn line(&self, text: String) {
        if !self.quiet {
            self.progress.tell(&json!({ "stream": text }));
        }
    }

    /// All is done: what is left of the script, and the image that came of it.
    fn end(&self, image: &ImageId) {
        let rest = self.script().end();
        rest.into_iter().for_each(|line| self.line(line));
        self.line(arrow(Some(image)));
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl BuildWatch for Steps<'_> {
    fn planned(&self, lines: &[PlannedLine]) {
        let mut script = self.script();
        (script.lines, script.told) = (lines.to_vec(), vec![false; lines.len()]);
    }

    fn wants_images(&self) -> bool {
        !self.quiet
    }

    fn reached(&self, line: usize, image: Option<&ImageId>) {
        let told = self.script().reached(line, image);
        told.into_iter().for_each(|line| self.line(line));
    }

    fn is_stopped(&self) -> bool {
        self.progress.is_gone()
    }

    fn tell(&self, news: News<'_>) {
        let mut script = self.script();
        match news {
            News::Began { number, title } => {
                let lines = script.begin(title);
                if !lines.is_empty() {
                    script.numbers.insert(number);
                }
                lines.into_iter().for_each(|line| self.line(line));
            }
            News::Cached { number } if script.numbers.contains(&number) => {
                self.line(" ---> Using cache\n".to_owned());
            }
            News::Output { bytes, .. } => self.line(String::from_utf8_lossy(bytes).into_owned()),
            News::Warning { text } => self.line(format!("[Warning] {text}\n")),
            News::Note { .. } | News::Cached { .. } | News::Why { .. } | News::Finding { .. } => {}
            News::Done { number, .. } | News::Failed { number, .. } => {
                let is_told = match news {
                    News::Done { .. } => self.removes || self.removes_failed,
                    _ => self.removes_failed,
                };
                if let Some(container) = script.containers.remove(&number).filter(|_| is_told) {
                    self.line(format!("Removing intermediate container {}\n", container.short()));
                }
            }
        }
    }

    fn runs(&self, number: usize, container: &ContainerId) {
        let mut script = self.script();
        if script.numbers.contains(&number) {
            self.line(format!(" ---> Running in {}\n", container.short()));
            script.containers.insert(number, *container);
        }
    }
}

pub(crate) fn prune(call: Call) -> Result<Reply, Refusal> {
    let filters = Filters::of(&call.query)?;
    let known = ["unused-for", "until"].into_iter().chain(CacheFilter::FIELDS);
    filters.check(&known.collect::<Vec<_>>())?;
    let mut until = None;
    for text in filters.values("until").iter().chain(filters.values("unused-for")) {
        let wrong = |why: String| Refusal::bad(format!("invalid filter 'until={text}': {why}"));
        let nanos = spec::parse_go_duration(text).map_err(|error| wrong(error.to_string()))?;
        let nanos = u64::try_from(nanos).map_err(|error| wrong(error.to_string()))?;
        until = Some(Duration::from_nanos(nanos));
    }
    let bytes = |name: &str| {
        let bytes = call.query.number::<u64>(name)?;
        Ok::<_, Refusal>(bytes.filter(|bytes| *bytes > 0))
    };
    let keep = KeepCache {
        reserved: bytes("reserved-space")?.or(bytes("keep-storage")?),
        max_used: bytes("max-used-space")?,
        min_free: bytes("min-free-space")?,
    };
    let lines = filters.lines();
    let filter = CacheFilter::read(lines.iter().map(String::as_str));
    let filter = filter.map_err(|error| Refusal::bad(error.to_string()))?;
    let all = call.query.flag("all");
    let request = PruneCache { all, until, filters: vec![filter], keep };
    let (gone, freed) = call.engine()?.prune_cache(&request)?;
    let ids: Vec<&String> = gone.iter().map(|row| &row.id).collect();
    let ids = if ids.is_empty() { Value::Null } else { json!(ids) };
    Ok(Reply::json(&json!({ "CachesDeleted": ids, "SpaceReclaimed": freed })))
}

#[cfg(test)]
mod tests {
    use spec::{Digest, ImageId};

    use super::{PlannedLine, Script};

    #[test]
    fn lines_are_numbered_over_all_stages_and_each_is_told_once() {
        let line = |(at, (text, title)): (usize, (&str, Option<&str>))| PlannedLine {
            text: text.to_owned(),
            line: at + 1,
            title: title.map(str::to_owned),
        };
        let lines = [
            ("ARG A=1", None),
            ("FROM a AS b", Some("[b 1/2] FROM a")),
            ("RUN x", Some("[b 2/2] RUN x")),
            ("FROM c", Some("[stage-1 1/1] FROM c")),
            ("LABEL d=e", None),
        ];
        let lines: Vec<_> = lines.into_iter().enumerate().map(line).collect();
        let mut script = Script { told: vec![false; lines.len()], lines, ..Script::default() };
        assert_eq!(script.begin("[internal] load"), [""; 0]);
        assert_eq!(
            script.begin("[stage-1 1/1] FROM c"),
            ["Step 1/5 : ARG A=1\n", "Step 4/5 : FROM c\n"]
        );
        assert_eq!(script.begin("[b 1/2] FROM a"), ["Step 2/5 : FROM a AS b\n"]);
        assert_eq!(script.end(), ["Step 3/5 : RUN x\n", "Step 5/5 : LABEL d=e\n"]);
    }

    #[test]
    fn each_step_tells_its_image_and_the_last_does_not() {
        let line = |(at, title): (usize, Option<&str>)| PlannedLine {
            text: format!("LINE {}", at + 1),
            line: at + 1,
            title: title.map(str::to_owned),
        };
        let titles = [Some("[1/2] FROM a"), None, Some("[2/2] RUN x"), None, None];
        let lines: Vec<_> = titles.into_iter().enumerate().map(line).collect();
        let mut script = Script { told: vec![false; lines.len()], lines, ..Script::default() };
        let id = |text: &str| ImageId(Digest::of(text.as_bytes()));
        let short = |text: &str| format!(" ---> {}\n", id(text).0.short());
        // What stands above an instruction that nobody has told of waits for it.
        assert_eq!(script.reached(2, Some(&id("2"))), [""; 0]);
        assert_eq!(script.begin("[1/2] FROM a"), ["Step 1/5 : LINE 1\n"]);
        assert_eq!(script.reached(1, None), [" ---> \n"]);
        assert_eq!(script.reached(1, Some(&id("a trigger"))), [""; 0]);
        let wanted =
            ["Step 2/5 : LINE 2\n".to_owned(), short("2"), "Step 3/5 : LINE 3\n".to_owned()];
        assert_eq!(script.begin("[2/2] RUN x"), wanted);
        assert_eq!(script.reached(3, Some(&id("3"))), [short("3")]);
        assert_eq!(
            script.reached(4, Some(&id("4"))),
            ["Step 4/5 : LINE 4\n".to_owned(), short("4")]
        );
        assert_eq!(script.reached(5, Some(&id("5"))), [""; 0]);
        assert_eq!(script.end(), ["Step 5/5 : LINE 5\n"]);
    }
}
