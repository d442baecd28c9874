//! What a container has written, and goes on to write.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use engine::{ContainerLog, Engine};
use runtime::attach::{Connection, Request, WaitFor};
use runtime::logs::{Entry, Follow, LogError, LogReader, Selection, Shown, Stream, show};
use spec::{ContainerId, Timestamp};

use super::client::{Client, MULTIPLEXED, RAW, Wanted, frame};
use super::containers::time;
use crate::call::Call;
use crate::gates::brought;
use crate::refusal::Refusal;
use crate::reply::{Reply, Sink};

/// How often a stream without news looks whether its client is there.
const GLANCE: Duration = Duration::from_secs(1);

fn failed(error: LogError) -> Refusal {
    Refusal::failed(error.to_string())
}

pub(crate) fn logs(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let query = &call.query;
    let wanted =
        Wanted { stdin: false, stdout: query.flag("stdout"), stderr: query.flag("stderr") };
    if !wanted.stdout && !wanted.stderr {
        return Err(Refusal::bad("Bad parameters: you must choose at least one stream"));
    }
    let moment = |name: &str| match query.given(name).filter(|text| *text != "0") {
        Some(text) => time(text).map(Some),
        None => Ok(None),
    };
    // Anything that is no number means all.
    let tail = query.text("tail").parse::<u64>().ok();
    let selection = Selection { since: moment("since")?, until: moment("until")?, tail };
    let tty = engine.containers().read(&id)?.config.tty;
    let kind = if !tty && call.since(brought::KINDS_OF_STREAMS) { MULTIPLEXED } else { RAW };
    let shown = Shown { timestamps: query.flag("timestamps"), details: query.flag("details") };
    let follows = query.flag("follow");
    let ContainerLog { path, format } = engine.container_log(&id)?;
    let reader = LogReader::open(&path, format, selection).map_err(failed)?;
    let writer = Writer { wanted, shown, multiplexed: !tty };
    Ok(Reply::stream(kind, move |sink| {
        sink.begin();
        match follows {
            false => writer.all(reader, sink),
            true => writer.follow(&engine, &id, reader, sink),
        }
    }))
}

/// What of entries is shown, and how.
struct Writer {
    wanted: Wanted,
    shown: Shown,
    multiplexed: bool,
}

impl Writer {
    fn entry(&self, entry: &Entry, out: &mut Vec<u8>) {
        let (number, wanted) = match entry.stream {
            Stream::Stdout => (1, self.wanted.stdout),
            Stream::Stderr => (2, self.wanted.stderr),
        };
        match (wanted, self.multiplexed) {
            (false, _) => {}
            (true, false) => show(entry, self.shown, out),
            (true, true) => {
                let mut line = Vec::new();
                show(entry, self.shown, &mut line);
                frame(out, number, &line);
            }
        }
    }

    fn all(&self, mut reader: LogReader, sink: &mut Sink) -> Result<(), Refusal> {
        let mut bytes = Vec::new();
        while let Some(entry) = reader.next_ready().map_err(failed)? {
            bytes.clear();
            self.entry(&entry, &mut bytes);
            sink.write_all(&bytes)?;
        }
        Ok(())
    }

    fn follow(
        &self,
        engine: &Engine,
        id: &ContainerId,
        reader: LogReader,
        sink: &mut Sink,
    ) -> Result<(), Refusal> {
        let mut follow = Follow::new(reader).map_err(failed)?;
        // A container without a monitor writes nothing any more.
        let mut monitor = engine.monitor(id).ok();
        if let Some(connection) = &mut monitor {
            connection.ask(&Request::Wait(WaitFor::NotRunning))?;
        }
        let mut bytes = Vec::new();
        let mut more = true;
        loop {
            while let Some(entry) = follow.next_ready().map_err(failed)? {
                bytes.clear();
                self.entry(&entry, &mut bytes);
                sink.write_all(&bytes)?;
            }
            sink.flush()?;
            if !more || monitor.is_none() || sink.is_gone_within(Duration::ZERO) {
                return Ok(());
            }
            let ended = monitor.as_ref().map(Connection::as_fd);
            more = follow.wait(ended, Some(GLANCE)).map_err(failed)?;
        }
    }
}

/// Shows a client what was written up to a time.
pub(crate) fn replay(
    engine: &Engine,
    id: &ContainerId,
    until: Timestamp,
    wanted: Wanted,
    client: &Client,
) -> Result<(), Refusal> {
    let ContainerLog { path, format } = engine.container_log(id)?;
    let selection = Selection { since: None, until: Some(until), tail: None };
    let mut reader = LogReader::open(&path, format, selection).map_err(failed)?;
    while let Some(entry) = reader.next_ready().map_err(failed)? {
        let (number, wanted) = match entry.stream {
            Stream::Stdout => (1, wanted.stdout),
            Stream::Stderr => (2, wanted.stderr),
        };
        if wanted {
            client.show(number, &entry.line)?;
        }
    }
    Ok(())
}
