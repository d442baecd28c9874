//! `mica stats`.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use engine::{ContainerSample, Engine, EngineError, ListContainers};
use spec::{ContainerId, bytes_size, human_size_3};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, rendered};
use crate::template::Value;

const COLUMNS: &[Column] = &[
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];
const HEADERS: &[Column] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// Between two samples of one answer: long enough to tell how busy a processor is.
const GLANCE: Duration = Duration::from_millis(250);
/// Between two pictures.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let watched = Watched::of(context, &engine)?;
    watch(context, &Here { engine, watched })
}

/// Whoever knows what containers use: the engine here, or one elsewhere.
pub(crate) trait Source {
    /// What one container has used up to a moment.
    type Sample;

    /// Samples of all that are watched, with what each is called on the command line.
    fn samples(&self) -> Result<Vec<(String, Self::Sample)>, Failure>;

    /// What is shown of a sample and of the one before it.
    fn figures(now: &Self::Sample, before: Option<&Self::Sample>) -> Figures;

    /// The id of a sample's container.
    fn id(sample: &Self::Sample) -> &str;
}

/// What is shown of a container.
pub(crate) struct Figures {
    /// Its id and its name.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The share of one processor's time.
    pub(crate) processors: f64,
    /// Bytes of memory, and how many it can have.
    pub(crate) memory: u64,
    pub(crate) memory_limit: u64,
    /// Bytes received and sent, and bytes read and written.
    pub(crate) network: (u64, u64),
    pub(crate) blocks: (u64, u64),
    /// Processes.
    pub(crate) pids: u64,
}

/// Shows what containers use, once or again and again.
pub(crate) fn watch<S: Source>(context: &Context, source: &S) -> Outcome {
    let live = !context.matches().flag("no-stream");
    let mut before = source.samples()?;
    sleep(GLANCE);
    loop {
        let now = source.samples()?;
        show::<S>(context, &now, &before, live && context.ui.is_terminal())?;
        if !live || (now.is_empty() && !context.names().is_empty()) {
            return Ok(0);
        }
        before = now;
        sleep(PAUSE);
    }
}

struct Here {
    engine: Engine,
    watched: Watched,
}

impl Source for Here {
    type Sample = (String, ContainerSample);

    fn samples(&self) -> Result<Vec<(String, Self::Sample)>, Failure> {
        let samples = self.watched.samples(&self.engine)?.into_iter();
        Ok(samples.map(|(name, sample)| (name, (sample.id.to_string(), sample))).collect())
    }

    fn figures((id, now): &Self::Sample, before: Option<&Self::Sample>) -> Figures {
        Figures {
            id: id.clone(),
            name: now.name.clone(),
            processors: before.map_or(0.0, |(_, before)| now.processors_since(before)),
            memory: now.memory_bytes(),
            memory_limit: now.memory_limit_bytes,
            network: now.network_bytes(),
            blocks: now.usage.as_ref().map_or((0, 0), |usage| usage.block_bytes),
            pids: now.usage.as_ref().map_or(0, |usage| usage.pids),
        }
    }

    fn id((id, _): &Self::Sample) -> &str {
        id
    }
}

/// Whose figures are shown.
enum Watched {
    /// Those that were named, with the words that named them.
    Named(Vec<(String, ContainerId)>),
    /// All, or all that run, at any moment.
    All { stopped: bool },
}

/// Figures of containers, with what each is called on the command line.
type Samples = Vec<(String, ContainerSample)>;

impl Watched {
    fn of(context: &Context, engine: &Engine) -> Result<Watched, Failure> {
        if context.names().is_empty() {
            return Ok(Watched::All { stopped: context.matches().flag("all") });
        }
        let containers = engine.containers();
        let named = context.names().iter().map(|name| Ok((name.clone(), containers.find(name)?)));
        Ok(Watched::Named(named.collect::<Result<_, EngineError>>()?))
    }

    fn samples(&self, engine: &Engine) -> Result<Samples, EngineError> {
        let list = match self {
            Watched::Named(list) => list.clone(),
            Watched::All { stopped } => {
                let list = ListContainers { all: *stopped, ..ListContainers::default() };
                let rows = engine.list_containers(&list)?.into_iter();
                rows.map(|row| (row.summary.id.short(), row.summary.id)).collect()
            }
        };
        let mut samples = Vec::new();
        for (name, id) in list {
            match engine.container_sample(&id) {
                Ok(sample) => samples.push((name, sample)),
                // It was removed meanwhile.
                Err(EngineError::NoSuchContainer(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(samples)
    }
}

fn show<S: Source>(
    context: &Context,
    now: &[(String, S::Sample)],
    before: &[(String, S::Sample)],
    over: bool,
) -> Result<(), Failure> {
    let matches = context.matches();
    let before: BTreeMap<_, _> = before.iter().map(|(_, old)| (S::id(old), old)).collect();
    let shown = now.iter().map(|(name, sample)| Shown {
        name: name.clone(),
        figures: S::figures(sample, before.get(S::id(sample)).copied()),
        full: matches.flag("no-trunc"),
    });
    let text = rendered(matches.string("format"), COLUMNS, HEADERS, shown)?;
    match over {
        // Written over the last picture: a screen that is cleared first would flicker.
        true => {
            context.ui.print(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")));
        }
        false => context.ui.print(&text),
    }
    Ok(())
}

struct Shown {
    name: String,
    figures: Figures,
    full: bool,
}

impl Shown {
    fn memory_share(&self) -> f64 {
        match self.figures.memory_limit {
            0 => 0.0,
            limit => self.figures.memory as f64 / limit as f64,
        }
    }
}

impl Row for Shown {
    const KIND: &'static str = "*container.statsContext";
    const FIELDS: &'static [&'static str] =
        &["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"];

    fn field(&self, name: &str) -> Option<Value> {
        let figures = &self.figures;
        let percent = |share: f64| format!("{:.2}%", share * 100.0);
        let pair = |(one, two): (u64, u64)| {
            format!("{} / {}", human_size_3(one as f64), human_size_3(two as f64))
        };
        Some(Value::Str(match name {
            "Container" => self.name.clone(),
            "ID" if self.full => figures.id.clone(),
            "ID" => figures.id.chars().take(12).collect(),
            "Name" => figures.name.clone(),
            "CPUPerc" => percent(figures.processors),
            "MemUsage" => {
                let limit = bytes_size(figures.memory_limit as f64);
                format!("{} / {limit}", bytes_size(figures.memory as f64))
            }
            "MemPerc" => percent(self.memory_share()),
            "NetIO" => pair(figures.network),
            "BlockIO" => pair(figures.blocks),
            "PIDs" => figures.pids.to_string(),
            _ => return None,
        }))
    }
}
