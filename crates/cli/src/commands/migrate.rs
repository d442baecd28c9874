//! `mica system migrate`.

use engine::{DriverKind, Engine};
use serde_json::json;
use spec::{counted, human_size};

use super::formatted;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::progress::Bars;

pub(crate) fn run(context: &Context) -> Outcome {
    let Some(name) = context.matches().string("to").filter(|name| !name.is_empty()) else {
        let failure = Failure::new("no storage driver is named");
        return Err(failure.hint("`mica system migrate --to overlay`"));
    };
    let to: DriverKind = name.parse().map_err(|why: String| Failure::new(why))?;
    let mut settings = context.settings()?;
    // Whatever the settings wish for already: the store has the driver that it has.
    settings.storage_driver = None;
    let quiet = context.matches().flag("quiet");
    crate::rootless::enter(context, &settings)?;
    let migrated = Engine::open(settings)?.migrate(to, &Bars::new(&context.ui, quiet))?;
    let document = json!({
        "From": migrated.from.as_str(), "To": migrated.to.as_str(),
        "Layers": migrated.layers, "Bytes": migrated.bytes,
    });
    if formatted(context, [document])? {
        return Ok(0);
    }
    context.ui.line(&match migrated.from == migrated.to {
        true => format!("The store is kept by the {to} driver already"),
        false => format!(
            "The store is kept by the {to} driver now, not {}: {}, {}",
            migrated.from,
            counted(migrated.layers, "layer"),
            human_size(migrated.bytes as f64)
        ),
    });
    Ok(0)
}
