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
    let matches = context.matches();
    let engine = context.engine()?;
    let watched = Watched::of(context, &engine)?;
    let live = !matches.flag("no-stream");
    let mut before = watched.samples(&engine)?;
    sleep(GLANCE);
    loop {
        let now = watched.samples(&engine)?;
        show(context, &now, &before, live && context.ui.is_terminal())?;
        if !live || (now.is_empty() && watched.is_named()) {
            return Ok(0);
        }
        before = now;
        sleep(PAUSE);
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

    fn is_named(&self) -> bool {
        matches!(self, Watched::Named(_))
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

fn show(context: &Context, now: &Samples, before: &Samples, over: bool) -> Result<(), Failure> {
    let matches = context.matches();
    let before: BTreeMap<ContainerId, &ContainerSample> =
        before.iter().map(|(_, sample)| (sample.id, sample)).collect();
    let shown = now.iter().map(|(name, sample)| Shown {
        name: name.clone(),
        processors: before.get(&sample.id).map_or(0.0, |old| sample.processors_since(old)),
        sample: sample.clone(),
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
    sample: ContainerSample,
    processors: f64,
    full: bool,
}

impl Shown {
    fn memory_share(&self) -> f64 {
        match self.sample.memory_limit_bytes {
            0 => 0.0,
            limit => self.sample.memory_bytes() as f64 / limit as f64,
        }
    }
}

impl Row for Shown {
    const KIND: &'static str = "*container.statsContext";
    const FIELDS: &'static [&'static str] =
        &["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"];

    fn field(&self, name: &str) -> Option<Value> {
        let sample = &self.sample;
        let percent = |share: f64| format!("{:.2}%", share * 100.0);
        let pair = |(one, two): (u64, u64)| {
            format!("{} / {}", human_size_3(one as f64), human_size_3(two as f64))
        };
        Some(Value::Str(match name {
            "Container" => self.name.clone(),
            "ID" if self.full => sample.id.to_string(),
            "ID" => sample.id.short(),
            "Name" => sample.name.clone(),
            "CPUPerc" => percent(self.processors),
            "MemUsage" => {
                let limit = bytes_size(sample.memory_limit_bytes as f64);
                format!("{} / {limit}", bytes_size(sample.memory_bytes() as f64))
            }
            "MemPerc" => percent(self.memory_share()),
            "NetIO" => pair(sample.network_bytes()),
            "BlockIO" => pair(sample.usage.as_ref().map_or((0, 0), |usage| usage.block_bytes)),
            "PIDs" => sample.usage.as_ref().map_or(0, |usage| usage.pids).to_string(),
            _ => return None,
        }))
    }
}
