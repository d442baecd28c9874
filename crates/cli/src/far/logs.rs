//! `logs` elsewhere.

use std::io::Read;

use client::{Frames, Request, Source};
use spec::Timestamp;

use super::create::look;
use super::streams::write_to;
use crate::commands::events::moment;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    let (matches, client) = (context.matches(), context.far()?);
    let now = Timestamp::now();
    // Read here, as docker's client does: the clock that counts is the user's.
    let time = |name: &str| match matches.string(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => Timestamp::parse_docker(text, now)
            .map(|time| Some(moment(time)))
            .map_err(|error| Failure::new(format!("invalid value for {name:?}: {error}"))),
    };
    let name = &context.names()[0];
    let tty = look(client, name)?["Config"]["Tty"] == true;
    let request = Request::get(format!("/containers/{name}/logs"))
        .flag("stdout", true)
        .flag("stderr", true)
        .flag("follow", matches.flag("follow"))
        .flag("timestamps", matches.flag("timestamps"))
        .flag("details", matches.flag("details"))
        .given("since", time("since")?.as_deref())
        .given("until", time("until")?.as_deref())
        .given("tail", matches.string("tail"));
    let mut body = client.send(request)?.body;
    let copied = match tty {
        false => Frames::copy(&mut body, write_to),
        true => copy(&mut body),
    };
    copied.map_err(|error| Failure::new(format!("error: {error}")))?;
    Ok(0)
}

fn copy(from: &mut dyn Read) -> std::io::Result<()> {
    let mut bytes = vec![0; 32 << 10];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(()),
            count => write_to(Source::Output, &bytes[..count])?,
        }
    }
}
