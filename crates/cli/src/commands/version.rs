//! `mica version`.

use engine::{API_VERSION, VERSION};
use serde_json::json;

use crate::context::Context;
use crate::failure::Outcome;
use crate::show;
use crate::typed::rendered;

pub(crate) fn run(context: &Context) -> Outcome {
    let arch = spec::Platform::host().architecture;
    let kernel = engine::kernel_release();
    if let Some(format) = context.matches().string("format").filter(|text| !text.is_empty()) {
        let side = json!({
            "Version": VERSION, "ApiVersion": API_VERSION, "DefaultAPIVersion": API_VERSION,
            "Os": "linux", "Arch": arch, "KernelVersion": kernel,
        });
        let server = engine::version_document();
        let document = json!({ "Client": side, "Server": server });
        match format {
            "json" => show::document(&context.ui, Some(format), &document)?,
            format => context.ui.line(&rendered(format, &document)?),
        }
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
