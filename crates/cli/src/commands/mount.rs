//! `mica image mount`, `mica image unmount`.

use serde_json::json;

use super::formatted;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, rows};
use crate::template::Value;

const COLUMNS: &[Column] = &[("ID", "IMAGE ID"), ("Path", "MOUNT POINT"), ("Count", "COUNT")];

pub(crate) fn mount(context: &Context) -> Outcome {
    let engine = context.engine()?;
    if context.names().is_empty() {
        let views = engine.mounted_images()?;
        let shown = views.into_iter().map(|view| Shown {
            id: view.image.0.short(),
            path: view.path.display().to_string(),
            count: view.count,
        });
        rows(&context.ui, context.matches().string("format"), COLUMNS, COLUMNS, shown)?;
        return Ok(0);
    }
    let several = context.names().len() > 1;
    for name in context.names() {
        let path = engine.mount_image(name)?.display().to_string();
        match context.matches().string("format") {
            Some("json") => context.ui.line(&json!({ "Image": name, "Path": path }).to_string()),
            _ if several => context.ui.line(&format!("{name} {path}")),
            _ => context.ui.line(&path),
        }
    }
    Ok(0)
}

pub(crate) fn unmount(context: &Context) -> Outcome {
    let matches = context.matches();
    let engine = context.engine()?;
    let force = matches.flag("force");
    let mut names: Vec<String> = context.names().to_vec();
    match (matches.flag("all"), names.is_empty()) {
        (true, true) => {
            names = engine.mounted_images()?.iter().map(|view| view.image.to_string()).collect();
        }
        (false, true) => return Err(Failure::new("error: name an image, or use --all")),
        (true, false) => return Err(Failure::new("error: name images or use --all, not both")),
        (false, false) => {}
    }
    for name in &names {
        let id = engine.unmount_image(name, force || matches.flag("all"))?;
        if !formatted(context, [json!({ "ID": id.to_string() })])? {
            context.ui.line(&id.to_string());
        }
    }
    Ok(0)
}

struct Shown {
    id: String,
    path: String,
    count: u32,
}

impl Row for Shown {
    const FIELDS: &'static [&'static str] = &["Count", "ID", "Path"];

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "ID" => Value::Str(self.id.clone()),
            "Path" => Value::Str(self.path.clone()),
            "Count" => Value::Int(i64::from(self.count)),
            _ => return None,
        })
    }
}
