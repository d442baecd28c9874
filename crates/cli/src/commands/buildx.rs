//! `mica buildx`: what it says of builders. There is one, which is always there: mica.

use engine::VERSION;
use spec::Platform;

use super::build::flags::known_builder;
use crate::context::Context;
use crate::failure::Outcome;
use crate::show::{Column, Row, rows};
use crate::template::Value;

/// The one builder's name.
const BUILDER: &str = "default";

const COLUMNS: &[Column] = &[
    ("Name", "NAME/NODE"),
    ("DriverEndpoint", "DRIVER/ENDPOINT"),
    ("Status", "STATUS"),
    ("Buildkit", "BUILDKIT"),
    ("Platforms", "PLATFORMS"),
];

pub(crate) fn version(context: &Context) -> Outcome {
    context.ui.line(&format!("mica v{VERSION}"));
    Ok(0)
}

pub(crate) fn list(context: &Context) -> Outcome {
    let format = context.matches().string("format").filter(|text| !text.is_empty());
    rows(&context.ui, format, COLUMNS, COLUMNS, vec![Builder])?;
    Ok(0)
}

/// The one builder, as a row.
struct Builder;

impl Row for Builder {
    const KIND: &'static str = "*commands.lsContext";
    const FIELDS: &'static [&'static str] = &["Current", "Name"];

    fn field(&self, name: &str) -> Option<Value> {
        let text = match name {
            "Current" => return Some(Value::Bool(true)),
            "Name" => "default*".to_owned(),
            "DriverEndpoint" => "mica".to_owned(),
            "Status" => "running".to_owned(),
            "Buildkit" => format!("v{VERSION}"),
            "Platforms" => Platform::host().to_string(),
            _ => return None,
        };
        Some(Value::Str(text))
    }
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    known_builder(context.names().first().map(String::as_str))?;
    context.ui.print(&format!(
        "Name:          {BUILDER}\nDriver:        mica\n\nNodes:\nName:             {BUILDER}\nEndpoint:         {BUILDER}\nStatus:           running\nBuildKit version: v{VERSION}\nPlatforms:        {}\n",
        Platform::host(),
    ));
    Ok(0)
}

pub(crate) fn choose(context: &Context) -> Outcome {
    known_builder(context.names().first().map(String::as_str))?;
    Ok(0)
}
