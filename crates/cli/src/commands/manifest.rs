//! `mica manifest inspect`.

use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::indented;

pub(crate) fn inspect(context: &Context) -> Outcome {
    let names = context.names();
    let name = names.last().expect("the grammar asks for a word");
    let found = context.engine()?.manifest(name)?;
    let document: Value = serde_json::from_slice(&found.bytes)
        .map_err(|error| Failure::new(format!("error: the manifest is not JSON: {error}")))?;
    if !context.matches().flag("verbose") {
        context.ui.line(&tabbed(&document));
        return Ok(0);
    }
    let descriptor = json!({
        "mediaType": found.media_type.as_str(), "digest": found.digest.to_string(),
        "size": found.bytes.len(), "platform": found.platform,
    });
    let key = if found.media_type.is_index() { "Index" } else { "OCIManifest" };
    let whole = json!({ "Ref": found.name, "Descriptor": descriptor, key: document });
    context.ui.line(&tabbed(&whole));
    Ok(0)
}

/// JSON as docker prints manifests: with tabs.
fn tabbed(document: &Value) -> String {
    let spaces = indented(document);
    let lines = spaces.lines().map(|line| {
        let rest = line.trim_start_matches(' ');
        let depth = (line.len() - rest.len()) / 4;
        format!("{}{rest}", "\t".repeat(depth))
    });
    lines.collect::<Vec<_>>().join("\n")
}
