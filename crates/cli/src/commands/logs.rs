//! `mica logs`.

use std::io::{self, Write};
use std::os::fd::AsFd;

use engine::{ContainerLog, Engine};
use runtime::attach::{Request, WaitFor};
use runtime::logs::{Entry, Follow, LogReader, Selection, Shown, Stream, show};
use spec::{ContainerId, Timestamp};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::Ui;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let now = Timestamp::now();
    let time = |name: &str| match matches.string(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => Timestamp::parse_docker(text, now)
            .map(Some)
            .map_err(|error| Failure::new(format!("invalid value for {name:?}: {error}"))),
    };
    // Anything that is no number means all, as docker has it.
    let tail = matches.string("tail").and_then(|text| text.parse::<u64>().ok());
    // Until the beginning of time means for ever.
    let until = time("until")?.filter(|until| *until > Timestamp::from_unix(0, 0));
    let selection = Selection { since: time("since")?, until, tail };
    let shown = Shown { timestamps: matches.flag("timestamps"), details: matches.flag("details") };
    let engine = context.engine()?;
    let id = engine.containers().find(&context.names()[0])?;
    let ContainerLog { path, format } = engine.container_log(&id)?;
    let said = |error: runtime::logs::LogError| {
        Failure::new(format!("Error response from daemon: {error}"))
    };
    let mut reader = LogReader::open(&path, format, selection).map_err(said)?;
    let mut out = Out { ui: context.ui.clone(), bytes: Vec::new(), to_error: false };
    while let Some(entry) = reader.next_ready().map_err(said)? {
        out.entry(&entry, shown);
    }
    out.flush();
    if !matches.flag("follow") {
        return Ok(0);
    }
    follow(&engine, &id, Follow::new(reader).map_err(said)?, shown, out)
}

fn follow(
    engine: &Engine,
    id: &ContainerId,
    mut follow: Follow,
    shown: Shown,
    mut out: Out,
) -> Outcome {
    let said = |error: runtime::logs::LogError| Failure::new(format!("error: {error}"));
    // A container without a monitor writes nothing any more.
    let mut monitor = engine.monitor(id).ok();
    if let Some(connection) = &mut monitor {
        let asked = connection.ask(&Request::Wait(WaitFor::NotRunning));
        asked.map_err(|error| Failure::new(format!("error: {error}")))?;
    }
    let mut is_over = monitor.is_none();
    loop {
        // What was written before anybody watched is read first.
        while let Some(entry) = follow.next_ready().map_err(said)? {
            out.entry(&entry, shown);
        }
        out.flush();
        if is_over {
            return Ok(0);
        }
        is_over = !follow.wait(monitor.as_ref().map(AsFd::as_fd), None).map_err(said)?;
    }
}

/// Both streams, gathered so that many lines are one call.
struct Out {
    ui: Ui,
    bytes: Vec<u8>,
    to_error: bool,
}

const GATHERED_BYTES: usize = 64 << 10;

impl Out {
    fn entry(&mut self, entry: &Entry, shown: Shown) {
        let to_error = entry.stream == Stream::Stderr;
        let full = self.bytes.len() > GATHERED_BYTES;
        if to_error != self.to_error || full {
            self.flush();
        }
        self.to_error = to_error;
        show(entry, shown, &mut self.bytes);
    }

    fn flush(&mut self) {
        match self.to_error {
            true => drop(io::stderr().write_all(&self.bytes)),
            false if self.bytes.is_empty() => {}
            false => self.ui.bytes_now(&self.bytes),
        }
        self.bytes.clear();
    }
}
