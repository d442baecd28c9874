//! `mica events`.

use std::rc::Rc;
use std::thread::sleep;
use std::time::Duration;

use engine::{Event, EventConditions, event_document};
use spec::Timestamp;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{NO_TEMPLATE, filled_in};
use crate::template::{Functions, MissingKey, Object, Template, Value};

/// How long to wait before looking for new events.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn run(context: &Context) -> Outcome {
    let now = Timestamp::now();
    let (since, until) = (time(context, "since", now)?, time(context, "until", now)?);
    let texts = context.matches().list("filter").iter().filter(|text| !text.is_empty());
    let conditions = EventConditions::parse(texts.map(String::as_str))?;
    check_format(context)?;
    if let (Some(from), Some(to)) = (since, until)
        && from > to
    {
        let (since, until) = (asked(context, "since", from), asked(context, "until", to));
        return Err(Failure::of_engine(format!(
            "`since` time ({since}) cannot be after `until` time ({until})"
        )));
    }
    // Without --since only what happens from now on is of interest.
    let mut events = context.engine()?.events(since.or(Some(now)), until)?;
    loop {
        match events.next_ready()? {
            Some(event) if conditions.hold(&event) => show(context, &event)?,
            Some(_) => {}
            None if until.is_some_and(|until| Timestamp::now() > until) => return Ok(0),
            None => sleep(PAUSE),
        }
    }
}

/// A moment that a flag names, if it does.
pub(crate) fn time(
    context: &Context,
    flag: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    let text = context.matches().string(flag).filter(|text| !text.is_empty());
    let time = text.map(|text| Timestamp::parse_docker(text, now)).transpose();
    time.map_err(|error: spec::TimeError| Failure::new(error.to_string()))
}

/// A moment as questions carry it.
pub(crate) fn moment(time: Timestamp) -> String {
    format!("{}.{:09}", time.unix_seconds(), time.nanos())
}

/// A moment as docker's client asks for it: a number as it was given, all else in seconds.
fn asked(context: &Context, flag: &str, time: Timestamp) -> String {
    let text = context.matches().string(flag).unwrap_or_default();
    match text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        true => text.to_owned(),
        false => moment(time),
    }
}

/// A template that is none, or that asks for what no event has, shall not be found out with the
/// first event.
pub(crate) fn check_format(context: &Context) -> Result<(), Failure> {
    let format = context.matches().string("format").filter(|text| !matches!(*text, "" | "json"));
    let Some(format) = format else { return Ok(()) };
    let empty = serde_json::json!({
        "Type": "", "Action": "", "Actor": { "ID": "", "Attributes": {} },
        "scope": "", "time": 0, "timeNano": 0,
    });
    let empty = Value::Object(Rc::new(Shown(empty)));
    let tried = Template::parse(format, &Functions::docker())
        .and_then(|template| template.render(&empty, MissingKey::NoValue));
    match tried {
        Err(error) => Err(Failure::new(format!("Error parsing format: {error}")).code(NO_TEMPLATE)),
        Ok(_) => Ok(()),
    }
}

/// Shows an event.
pub(crate) fn show(context: &Context, event: &Event) -> Result<(), Failure> {
    match context.matches().string("format").filter(|text| !text.is_empty()) {
        Some("json") => context.ui.line(&event_document(event).to_string()),
        Some(format) => {
            let shown = Value::Object(Rc::new(Shown(event_document(event))));
            context.ui.line(&filled_in(format, &shown, MissingKey::NoValue)?);
        }
        None => context.ui.line(&line(event)),
    }
    Ok(())
}

fn line(event: &Event) -> String {
    let time = Timestamp::from_unix(event.time, (event.time_nano % 1_000_000_000) as u32);
    let attribute = |(key, value): (&String, &String)| format!("{key}={value}");
    let attributes: Vec<String> = event.actor.attributes.iter().map(attribute).collect();
    let line = format!("{} {} {} {}", time.event_local(), event.kind, event.action, event.actor.id);
    match attributes.is_empty() {
        true => line,
        false => format!("{line} ({})", attributes.join(", ")),
    }
}

/// An event as templates read it: by Go's names, and as JSON by the names of the document.
struct Shown(serde_json::Value);

impl Object for Shown {
    fn field(&self, name: &str) -> Option<Value> {
        let key = match name {
            "Status" => "status",
            "ID" => "id",
            "From" => "from",
            "Scope" => "scope",
            "Time" => "time",
            "TimeNano" => "timeNano",
            other => other,
        };
        match self.0.get(key) {
            // Its fields keep their order.
            Some(serde_json::Value::Object(fields)) => {
                let field = |(name, value): (&String, &serde_json::Value)| {
                    (name.clone(), Value::from(value.clone()))
                };
                Some(Value::Struct(fields.iter().map(field).collect()))
            }
            Some(value) => Some(Value::from(value.clone())),
            None => ["status", "id", "from"].contains(&key).then(|| Value::Str(String::new())),
        }
    }

    fn names(&self) -> Vec<String> {
        self.0.as_object().map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
    }

    fn is_document(&self) -> bool {
        true
    }

    fn type_name(&self) -> &str {
        "events.Message"
    }
}
