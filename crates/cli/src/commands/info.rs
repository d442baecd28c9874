//! `mica info`.

use engine::{API_VERSION, VERSION};
use serde_json::{Value, json};
use spec::bytes_size;

use super::version;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::typed::print;

pub(crate) fn run(context: &Context) -> Outcome {
    let info = context.engine()?.info()?;
    if let Some(format) = context.matches().string("format").filter(|text| !text.is_empty()) {
        let mut document = info.document();
        document["ClientInfo"] = client(context, API_VERSION)?;
        print(&context.ui, format, &document)?;
        return Ok(0);
    }
    let memory = bytes_size(info.memory as f64);
    context.ui.print(&format!(
        "Client: mica\n Version:    {VERSION}\n\nServer:\n Containers: {}\n  Running: {}\n  Paused: {}\n  Stopped: {}\n Images: {}\n Layers: {}\n Server Version: {VERSION}\n Storage Driver: {}\n  Backing Filesystem: {}\n  Chosen because: {}\n Runtimes: {}\n Default Runtime: {}\n Kernel Version: {}\n Operating System: {}\n OSType: linux\n Architecture: {}\n CPUs: {}\n Total Memory: {memory}\n Name: {}\n ID: {}\n Docker Root Dir: {}\n Run Root: {}\n",
        info.containers.all(), info.containers.running, info.containers.paused,
        info.containers.stopped, info.images, info.layers, info.driver, info.backing, info.driver_reason,
        info.runtimes.names().join(" "), info.runtimes.default, info.kernel,
        info.operating_system, info.machine, info.cpus, info.hostname, info.id, info.root, info.run,
    ));
    Ok(0)
}

/// What docker's client says of itself, and of what belongs to it.
pub(crate) fn client(context: &Context, spoken: &str) -> Result<Value, Failure> {
    let mut document = version::client(context, spoken)?;
    document["Debug"] = json!(context.globals().flag("debug"));
    document["Plugins"] = json!([]);
    document["Warnings"] = json!(null);
    Ok(document)
}
