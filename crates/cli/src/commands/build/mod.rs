//! `mica build`.

mod flags;
mod metadata;
mod outputs;
mod plain;
mod raw;
mod tty;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use engine::{
    BuildFailure, BuildInput, BuildRequest, BuildWatch, CacheUse, ContextSource, DockerfileSource,
    EngineError, News, Output, Progress,
};
use spec::{Platform, Reference};

use super::build_call;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    if let Some(call) = build_call::asked(context)? {
        return build_call::run(context, call);
    }
    flags::refuse_what_is_not_there(context)?;
    let matches = context.matches();
    let style = Style::of(context)?;
    let engine = context.engine()?;
    let fetch = |name: &Reference, platform: Option<&Platform>, _: &dyn Progress| {
        let client = engine.settings().client()?;
        let pull =
            engine::PullImage { name: name.clone(), all_tags: false, platform: platform.cloned() };
        engine.pull(&client, &pull, &engine::Quiet, &mut |_| ())
    };
    let request = BuildRequest {
        contexts: flags::named_contexts(matches)?,
        arguments: arguments(context)?,
        target: matches.string("target").filter(|name| !name.is_empty()).map(str::to_owned),
        platform: flags::platform(matches)?,
        outputs: outputs::Asked {
            outputs: matches.list("output"),
            push: matches.flag("push"),
            load: matches.flag("load"),
            names: flags::tags(matches)?,
            annotations: matches.list("annotation"),
        }
        .read()?,
        labels: super::pairs(matches.list("label")),
        cache: cache(context),
        pull: matches.flag("pull"),
        fetch: &fetch,
        epoch: epoch(context)?,
        host: flags::host(matches)?,
        secrets: flags::secrets(context)?,
        agents: flags::agents(context)?,
        allowed: matches.list("allow").to_vec(),
        explain: matches.flag("explain"),
        fail_on_miss: matches.string("fail-on-miss").map(|stage| match stage {
            "any" => String::new(),
            stage => stage.to_owned(),
        }),
    };
    let input = input(context)?;
    let watch = style.watch(context);
    let built = engine.build(input, &request, &*watch);
    watch.over();
    let built = built.map_err(|failure| told(context, style, *failure))?;
    if let Some(file) = matches.string("metadata-file").filter(|file| !file.is_empty()) {
        metadata::write(file, &metadata::document(&built))?;
    }
    let Some(id) = metadata::shown(&built) else { return Ok(0) };
    if let Some(file) = matches.string("iidfile").filter(|file| !file.is_empty()) {
        std::fs::write(file, &id).map_err(EngineError::io("write", file))?;
    }
    if style == Style::Quiet && !request.outputs.iter().any(Output::is_stream) {
        context.ui.line(&id);
    }
    Ok(0)
}

/// How a build is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Terminal,
    Raw,
    Quiet,
}

/// Somebody who shows a build, and is told when it is over.
trait Shown: BuildWatch {
    /// Nothing more will come.
    fn over(&self);
}

/// Nobody watches.
struct Nobody;

impl BuildWatch for Nobody {
    fn tell(&self, _: News<'_>) {}
}

impl Shown for Nobody {
    fn over(&self) {}
}

impl Style {
    fn of(context: &Context) -> Result<Style, Failure> {
        let matches = context.matches();
        if matches.flag("quiet") {
            return Ok(Style::Quiet);
        }
        let asked = match matches.string("progress").unwrap_or("auto") {
            "auto" if !matches.given("progress") => {
                context.variable("BUILDKIT_PROGRESS").unwrap_or("auto")
            }
            asked => asked,
        };
        match asked {
            "auto" | "" | "tty" if context.ui.error_is_terminal() => Ok(Style::Terminal),
            "auto" | "" | "plain" => Ok(Style::Plain),
            "tty" => {
                Err(Failure::new("ERROR: failed to get console: provided file is not a console"))
            }
            "rawjson" => Ok(Style::Raw),
            "quiet" | "none" => Ok(Style::Quiet),
            other => Err(Failure::new(format!("ERROR: invalid progress mode {other}"))),
        }
    }

    fn watch(self, context: &Context) -> Box<dyn Shown> {
        match self {
            Style::Plain => Box::new(plain::Lines::new(&context.ui)),
            Style::Terminal => Box::new(tty::Tree::new(&context.ui)),
            Style::Raw => Box::new(raw::Statuses::new(&context.ui)),
            Style::Quiet => Box::new(Nobody),
        }
    }
}

/// Where the context and the Dockerfile are.
fn input(context: &Context) -> Result<BuildInput<'static>, Failure> {
    let matches = context.matches();
    let place = context.names()[0].as_str();
    let file = matches.string("file").filter(|file| !file.is_empty());
    if place == "-" && file == Some("-") {
        return Err(Failure::new(
            "ERROR: invalid argument: can't use stdin for both build context and dockerfile",
        ));
    }
    let dockerfile = match file {
        Some("-") => DockerfileSource::Reader(Box::new(io::stdin())),
        Some(path) => DockerfileSource::Path(PathBuf::from(path)),
        None => DockerfileSource::Usual,
    };
    let source = match place {
        "-" => ContextSource::Reader(Box::new(io::stdin())),
        url if url.starts_with("http://") || url.starts_with("https://") => {
            ContextSource::Url(url.to_owned())
        }
        path if Path::new(path).is_file() => {
            let file = std::fs::File::open(path).map_err(EngineError::io("open", path))?;
            ContextSource::Reader(Box::new(file))
        }
        path => ContextSource::Folder(PathBuf::from(path)),
    };
    Ok(BuildInput { context: source, dockerfile })
}

/// `--build-arg`, and what the environment says about time.
fn arguments(context: &Context) -> Result<BTreeMap<String, String>, Failure> {
    let mut list = build_call::build_arguments(context, context.matches().list("build-arg"));
    if let Some(epoch) = context.variable("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) {
        list.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| epoch.to_owned());
    }
    Ok(list)
}

/// The latest time in the image: an argument's, or the environment's.
fn epoch(context: &Context) -> Result<Option<i64>, Failure> {
    let given = arguments(context)?.remove("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
    let number = |text: String| {
        let wrong = || Failure::new(format!("ERROR: invalid SOURCE_DATE_EPOCH: {text}"));
        text.parse::<i64>().map_err(|_| wrong())
    };
    given.map(number).transpose()
}

fn cache(context: &Context) -> CacheUse {
    let matches = context.matches();
    let stages = matches.list("no-cache-filter");
    match (matches.flag("no-cache"), stages.is_empty()) {
        (true, _) => CacheUse::None,
        (false, true) => CacheUse::All,
        (false, false) => CacheUse::But(
            stages.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        ),
    }
}

/// A failed build as BuildKit tells it: what the step printed, where it stands, why it failed.
fn told(context: &Context, style: Style, failure: BuildFailure) -> Failure {
    let BuildFailure { error, step, excerpt } = failure;
    let ui = &context.ui;
    let quiet = style == Style::Quiet;
    if let Some((title, printed)) = step.filter(|(title, _)| !title.is_empty()) {
        ui.warn(&format!("------\n > {title}:"));
        ui.print_error(&printed);
        if !printed.is_empty() && !printed.ends_with('\n') {
            ui.print_error("\n");
        }
        ui.warn("------");
    }
    if let Some(excerpt) = excerpt.filter(|_| !quiet || matches!(error, EngineError::Dockerfile(_)))
    {
        ui.print_error(&excerpt);
    }
    let words = match &error {
        EngineError::Input(words) => format!("ERROR: {words}"),
        error => format!("ERROR: failed to build: failed to solve: {}", causes(error)),
    };
    let told = Failure::new(words);
    match error.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// An error with its causes in one line, each once.
fn causes(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// Serves a step of a build.
pub(crate) fn once(_: &Context) -> Outcome {
    engine::run_once()?;
    Ok(0)
}
