//! `mica version`.

use engine::{API_VERSION, VERSION};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::far::contexts::{Contexts, DEFAULT};
use crate::far::place;
use crate::typed::print;

/// What docker's client says of itself, where this version of the API is spoken.
pub(crate) fn client(context: &Context, spoken: &str) -> Result<Value, Failure> {
    let environment = context.environment();
    let chosen = place::current(context.globals(), environment, &Contexts::of(environment))?;
    Ok(json!({
        "Version": VERSION, "ApiVersion": spoken, "DefaultAPIVersion": API_VERSION, "Os": "linux",
        "Arch": spec::Platform::host().architecture, "KernelVersion": engine::kernel_release(),
        "Context": chosen.as_deref().unwrap_or(DEFAULT),
    }))
}

pub(crate) fn run(context: &Context) -> Outcome {
    let arch = spec::Platform::host().architecture;
    let kernel = engine::kernel_release();
    if let Some(format) = context.matches().string("format").filter(|text| !text.is_empty()) {
        let server = engine::version_document();
        let document = json!({ "Client": client(context, API_VERSION)?, "Server": server });
        print(&context.ui, format, &document)?;
        return Ok(0);
    }
    let part = format!(" Version:           {VERSION}\n OS/Arch:           linux/{arch}\n");
    let engine = format!(
        " Engine:\n  Version:          {VERSION}\n  OS/Arch:          linux/{arch}\n  Kernel Version:   {kernel}\n"
    );
    context
        .ui
        .print(&format!("Client: mica\n{part}\nServer: mica (in the same process)\n{engine}"));
    Ok(0)
}
