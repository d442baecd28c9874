//! A container's files: looked at, taken out, put in, and all of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{CommitContainer, CopyEnd, CopyFiles, Engine, EngineError, PathStat};
use serde_json::json;
use spec::{ContainerConfig, ContainerId, Timestamp};

use crate::call::Call;
use crate::refusal::{Refusal, chain};
use crate::reply::{Reply, piped};

const STAT_HEADER: &str = "x-docker-container-path-stat";

pub(crate) fn export(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    Ok(Reply::stream("application/octet-stream", move |sink| {
        Ok(engine.export_container(&id, sink)?)
    }))
}

/// The container, the path, and what is there.
fn asked(call: &Call) -> Result<(Engine, ContainerId, String, PathStat), Refusal> {
    let path = call.query.text("path");
    if path.is_empty() {
        return Err(Refusal::bad("missing \"path\" parameter"));
    }
    let (engine, id) = call.container()?;
    let stat = engine.stat_path(&id, path)?;
    Ok((engine, id, path.to_owned(), stat))
}

/// What is known of a path, as the header has it.
fn header(stat: &PathStat) -> String {
    let shown = json!({
        "name": stat.name,
        "size": stat.bytes,
        "mode": go_mode(stat.mode),
        "mtime": stat.changed.to_string(),
        "linkTarget": stat.target,
    });
    STANDARD.encode(shown.to_string())
}

/// The bits of a mode where Go has them.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o020_000 => 1 << 26 | 1 << 21,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, bit)| bit);
    mode & 0o777 | kind | special.sum::<u32>()
}

pub(crate) fn stat(call: Call) -> Result<Reply, Refusal> {
    let (.., stat) = asked(&call)?;
    Ok(Reply::status(200).with(STAT_HEADER, header(&stat)))
}

pub(crate) fn take_out(call: Call) -> Result<Reply, Refusal> {
    let (engine, id, path, stat) = asked(&call)?;
    let reply = Reply::stream("application/x-tar", move |sink| {
        piped(sink, |file| {
            let writer = std::io::BufWriter::with_capacity(256 << 10, file);
            let from = CopyEnd::Container(id, path);
            let to = CopyEnd::Writer(Box::new(writer));
            engine.copy_files(CopyFiles {
                from,
                to,
                archive: true,
                follow: false,
                as_user: false,
                replaces: false,
            })?;
            Ok(())
        })
    });
    Ok(reply.with(STAT_HEADER, header(&stat)))
}

pub(crate) fn put_in(mut call: Call) -> Result<Reply, Refusal> {
    let path = call.query.text("path").to_owned();
    if path.is_empty() {
        return Err(Refusal::bad("missing \"path\" parameter"));
    }
    let (engine, id) = call.container()?;
    let from = CopyEnd::Reader(Box::new(call.body.take_all()));
    let to = CopyEnd::Container(id, path);
    let as_user = call.query.flag("copyUIDGID");
    let replaces = !call.query.flag("noOverwriteDirNonDir");
    let request = CopyFiles { from, to, archive: true, follow: true, as_user, replaces };
    match engine.copy_files(request) {
        // What is no archive is the client's fault.
        Err(error @ EngineError::Read(_)) => Err(Refusal::bad(chain(&error))),
        copied => Ok(copied.map(|_| Reply::status(200))?),
    }
}

pub(crate) fn commit(mut call: Call) -> Result<Reply, Refusal> {
    // One in which nothing is said changes nothing.
    let config = call.json::<ContainerConfig>()?.map(|mut config| {
        config.rest.clear();
        config
    });
    let config = config.filter(|config| *config != ContainerConfig::default());
    let query = &call.query;
    let engine = call.engine()?;
    let name = query.given("repo").map(|repository| match query.given("tag") {
        Some(tag) => format!("{repository}:{tag}"),
        None => repository.to_owned(),
    });
    let request = CommitContainer {
        config,
        container: engine.containers().find(query.text("container"))?,
        name,
        author: query.text("author").to_owned(),
        message: query.text("comment").to_owned(),
        changes: query.list("changes"),
        pause: query.flag_or("pause", true),
        created: Timestamp::now(),
    };
    let id = engine.commit_container(&request, &engine)?;
    Ok(Reply::json(&json!({ "Id": id.to_string() })).at_status(201))
}

#[cfg(test)]
mod tests {
    use super::go_mode;

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(0o100_644), 0o644);
        assert_eq!(go_mode(0o041_777), 1 << 31 | 1 << 20 | 0o777);
        assert_eq!(go_mode(0o104_755), 1 << 23 | 0o755);
        assert_eq!(go_mode(0o120_777), 1 << 27 | 0o777);
    }
}
