//! Nodes to instructions.

use spec::{Healthcheck, parse_go_duration, quoted_words};

use super::flags::{Flags, Form};
use super::{Command, Device, Instruction, KEYWORDS, Kind, Mount, Pairs, Run, copy};
use crate::error::{BuildError, nearest};
use crate::syntax::{Heredoc, Node, first_word, json_list, parse_trigger};

/// Reads one instruction.
pub fn read_node(node: &Node, escape: char) -> Result<Instruction, BuildError> {
    let kind = kind(node, escape).map_err(|message| BuildError::parse(node.span, message))?;
    Ok(Instruction {
        kind,
        keyword: node.keyword.clone(),
        text: node.text(),
        comments: node.comments.clone(),
        span: node.span,
        empty_lines: node.empty_lines.clone(),
    })
}

fn kind(node: &Node, escape: char) -> Result<Kind, String> {
    let name = node.name();
    let name = name.as_str();
    if !matches!(name, "ADD" | "COPY" | "FROM" | "HEALTHCHECK" | "RUN") && KEYWORDS.contains(&name)
    {
        Flags::read(&node.flags, &[])?;
    }
    let rest = node.rest.as_str();
    Ok(match name {
        "ADD" | "COPY" => copy::copy(node, name, escape)?,
        "ARG" => Kind::Arg(arguments(rest, escape)?),
        "CMD" => Kind::Cmd(command(rest)?),
        "ENTRYPOINT" => Kind::Entrypoint(command(rest)?),
        "ENV" => Kind::Env(pairs(name, rest, escape)?),
        "EXPOSE" => Kind::Expose(some(name, rest.split_whitespace().map(str::to_owned).collect())?),
        "FROM" => from(node)?,
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck(node)?),
        "LABEL" => Kind::Label(pairs(name, rest, escape)?),
        "MAINTAINER" => Kind::Maintainer(one(name, rest)?),
        "ONBUILD" => on_build(node, escape)?,
        "RUN" => Kind::Run(run(node)?),
        "SHELL" => match json_list(rest) {
            Some(list) => Kind::Shell(some(name, list?)?),
            None => return Err("SHELL requires the arguments to be in JSON form".to_owned()),
        },
        "STOPSIGNAL" => Kind::StopSignal(one(name, rest)?),
        "USER" => Kind::User(one(name, rest)?),
        "VOLUME" => volume(rest)?,
        "WORKDIR" => Kind::Workdir(one(name, rest)?),
        _ => {
            let meant = nearest(name, KEYWORDS.iter().copied());
            let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
            return Err(format!("unknown instruction: {}{meant}", node.keyword));
        }
    })
}

fn one(name: &str, rest: &str) -> Result<String, String> {
    match rest {
        "" => Err(format!("{name} requires exactly one argument")),
        rest => Ok(rest.to_owned()),
    }
}

fn some(name: &str, words: Vec<String>) -> Result<Vec<String>, String> {
    match words.is_empty() {
        true => Err(format!("{name} requires at least one argument")),
        false => Ok(words),
    }
}

fn command(rest: &str) -> Result<Command, String> {
    Ok(match json_list(rest) {
        Some(list) => Command::Exec(list?),
        None => Command::Shell(rest.to_owned()),
    })
}

fn from(node: &Node) -> Result<Kind, String> {
    let platform = Flags::read(&node.flags, &[("platform", Form::Text)])?.text("platform");
    let words: Vec<String> = node.rest.split_whitespace().map(str::to_owned).collect();
    let name = match words.as_slice() {
        [_] => None,
        [_, word, name] if word.eq_ignore_ascii_case("as") => Some(stage_name(name)?),
        _ => return Err("FROM requires either one or three arguments".to_owned()),
    };
    Ok(Kind::From { base: words[0].clone(), name, platform, words })
}

fn stage_name(name: &str) -> Result<String, String> {
    let lower = name.to_lowercase();
    let known = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter)
    };
    match lower.starts_with(|first: char| first.is_ascii_lowercase()) && lower.chars().all(known) {
        true => Ok(lower),
        false => Err(format!(
            "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
        )),
    }
}

fn run(node: &Node) -> Result<Run, String> {
    let list = Form::List;
    let known =
        [("mount", list), ("network", Form::Text), ("security", Form::Text), ("device", list)];
    let flags = Flags::read(&node.flags, &known)?;
    let network = flags.text("network");
    if let Some(network) =
        network.as_deref().filter(|word| !["default", "none", "host"].contains(word))
    {
        return Err(format!("invalid network mode: {network:?}"));
    }
    let insecure = match flags.text("security").as_deref() {
        None | Some("sandbox") => false,
        Some("insecure") => true,
        Some(security) => return Err(format!("security {security:?} is not valid")),
    };
    let mounts = flags.list("mount");
    let mounts = mounts.iter().map(|text| Mount::parse(text)).collect::<Result<_, _>>()?;
    let devices = flags.list("device");
    let devices = devices.iter().map(|text| Device::parse(text)).collect::<Result<_, _>>()?;
    let heredocs = node.heredocs.clone();
    Ok(Run {
        command: command(&node.rest)?,
        heredocs,
        mounts,
        network,
        insecure,
        devices,
        circumstances: None,
    })
}

fn arguments(rest: &str, escape: char) -> Result<Vec<(String, Option<String>)>, String> {
    let read = |word: String| match word.split_once('=') {
        Some(("", _)) => Err("ARG names can not be blank".to_owned()),
        Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
        None => Ok((word, None)),
    };
    some("ARG", quoted_words(rest, escape))?.into_iter().map(read).collect()
}

fn pairs(name: &str, rest: &str, escape: char) -> Result<Pairs, String> {
    let words = some(name, quoted_words(rest, escape))?;
    if !words[0].contains('=') {
        return match first_word(rest) {
            (_, "") => Err(format!("{name} must have two arguments")),
            (key, value) => {
                Ok(Pairs { pairs: vec![(key.to_owned(), value.to_owned())], is_legacy: true })
            }
        };
    }
    let pair = |word: &String| match word.split_once('=') {
        Some(("", _)) => Err(format!("{name} names can not be blank")),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => {
            Err(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))
        }
    };
    Ok(Pairs { pairs: words.iter().map(pair).collect::<Result<_, _>>()?, is_legacy: false })
}

fn volume(rest: &str) -> Result<Kind, String> {
    let paths = match json_list(rest) {
        Some(list) => list?,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    match paths.iter().any(|path| path.trim().is_empty()) {
        true => Err("VOLUME specified can not be an empty string".to_owned()),
        false => Ok(Kind::Volume(some("VOLUME", paths)?)),
    }
}

fn on_build(node: &Node, escape: char) -> Result<Kind, String> {
    let mut trigger = parse_trigger(&node.rest, escape, node.span);
    match trigger.name().as_str() {
        "" => return Err("ONBUILD requires at least one argument".to_owned()),
        "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        name @ ("FROM" | "MAINTAINER") => {
            return Err(format!("{name} isn't allowed as an ONBUILD trigger"));
        }
        _ => trigger.heredocs = node.heredocs.clone(),
    }
    let kind = kind(&trigger, escape)?;
    let (keyword, text, span) = (trigger.keyword.clone(), trigger.text(), trigger.span);
    let trigger = Instruction { kind, keyword, text, comments: vec![], span, empty_lines: vec![] };
    // With its documents, so that whoever reads the configuration finds them below it.
    let whole = |text: String, own: &Heredoc| format!("{text}\n{}{}", own.content, own.name);
    let text = node.heredocs.iter().fold(node.rest.clone(), whole);
    Ok(Kind::OnBuild { text, trigger: Box::new(trigger) })
}

fn healthcheck(node: &Node) -> Result<Healthcheck, String> {
    let text = Form::Text;
    let known = ["interval", "timeout", "start-period", "start-interval", "retries"]
        .map(|name| (name, text));
    let flags = Flags::read(&node.flags, &known)?;
    let (word, rest) = first_word(&node.rest);
    let test = match (word.to_ascii_uppercase().as_str(), rest) {
        ("", _) => return Err("HEALTHCHECK requires at least one argument".to_owned()),
        ("NONE", "") => vec!["NONE".to_owned()],
        ("NONE", _) => return Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        ("CMD", rest) => match command(rest)? {
            Command::Shell(text) if text.is_empty() => {
                return Err("Missing command after HEALTHCHECK CMD".to_owned());
            }
            Command::Exec(list) if list.is_empty() => {
                return Err("Missing command after HEALTHCHECK CMD".to_owned());
            }
            Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text],
            Command::Exec(list) => std::iter::once("CMD".to_owned()).chain(list).collect(),
        },
        (word, _) => return Err(format!("Unknown type {word:?} in HEALTHCHECK (try CMD)")),
    };
    let time = |name: &str| duration(name, flags.text(name));
    Ok(Healthcheck {
        test,
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start-period")?,
        start_interval: time("start-interval")?,
        retries: retries(flags.text("retries"))?,
    })
}

/// Nothing shorter can be waited for.
const SHORTEST_NANOS: i64 = 1_000_000;

fn duration(name: &str, value: Option<String>) -> Result<i64, String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(0) };
    match parse_go_duration(&value).map_err(|error| error.to_string())? {
        nanos if nanos < SHORTEST_NANOS && nanos != 0 => {
            Err(format!("Interval {name:?} cannot be less than 1ms"))
        }
        nanos => Ok(nanos),
    }
}

fn retries(value: Option<String>) -> Result<i64, String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(0) };
    match value.parse::<i32>() {
        Ok(count) if count < 0 => Err(format!("--retries cannot be negative ({count})")),
        Ok(count) => Ok(i64::from(count)),
        Err(_) => Err(format!("strconv.ParseInt: parsing {value:?}: invalid syntax")),
    }
}
