//! `mica builder mounts`: what commands of builds keep for themselves.

use std::fs::File;
use std::io::{self, Read};
use std::time::SystemTime;

use engine::{CacheMount, EngineError};
use spec::{human_duration, human_size};

use super::tar_out::write_tar;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, rows};
use crate::template::Value;

const COLUMNS: &[Column] = &[("ID", "ID"), ("Size", "SIZE"), ("LastUsed", "LAST USED")];

pub(crate) fn list(context: &Context) -> Outcome {
    let mut mounts = context.engine()?.cache_mounts()?;
    mounts.sort_by(|one, other| one.id.cmp(&other.id));
    rows(&context.ui, context.matches().string("format"), COLUMNS, COLUMNS, mounts)?;
    Ok(0)
}

pub(crate) fn remove(context: &Context) -> Outcome {
    let engine = context.engine()?;
    for id in context.names() {
        engine.remove_cache_mount(id)?;
        context.ui.line(id);
    }
    Ok(0)
}

pub(crate) fn export(context: &Context) -> Outcome {
    let id = &context.names()[0];
    write_tar(context, "cache mount", |engine, out| engine.export_cache_mount(id, out))
}

pub(crate) fn seed(context: &Context) -> Outcome {
    let [id, source] = context.names() else {
        return Err(Failure::new("error: an id and a tar are wanted"));
    };
    let mut tar: Box<dyn Read + Send> = match source.as_str() {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).map_err(EngineError::io("open", path))?),
    };
    context.engine()?.seed_cache_mount(id, &mut *tar, context.matches().flag("force"))?;
    Ok(0)
}

impl Row for CacheMount {
    const FIELDS: &'static [&'static str] = &["ID", "LastUsed", "Name", "Size"];

    fn field(&self, name: &str) -> Option<Value> {
        let idle = SystemTime::now().duration_since(self.used).unwrap_or_default();
        let ago = human_duration(i64::try_from(idle.as_secs()).unwrap_or(i64::MAX));
        Some(Value::Str(match name {
            "ID" => self.id.clone(),
            "Name" => self.name.clone(),
            "Size" => human_size(self.bytes as f64),
            "LastUsed" => format!("{ago} ago"),
            _ => return None,
        }))
    }
}
