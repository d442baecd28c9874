//! `version` and `info` elsewhere.

use client::Request;
use engine::VERSION;
use serde_json::{Value, json};
use spec::bytes_size;

use crate::commands::{info, version};
use crate::context::Context;
use crate::failure::Outcome;
use crate::typed::print;

pub(super) fn version(context: &Context) -> Outcome {
    let client = context.far()?;
    let server: Value = client.call(Request::get("/version"))?;
    let own = spec::Platform::host().architecture;
    let spoken = format!("1.{}", client.version()?);
    if let Some(format) = context.matches().string("format").filter(|text| !text.is_empty()) {
        let side = version::client(context, &spoken)?;
        print(&context.ui, format, &json!({ "Client": side, "Server": server }))?;
        return Ok(0);
    }
    let text = |name: &str| server[name].as_str().unwrap_or_default().to_owned();
    context.ui.print(&format!(
        "Client: mica\n Version:           {VERSION}\n OS/Arch:           linux/{own}\n API version:       {spoken}\n\nServer: {} at {}\n Engine:\n  Version:          {}\n  API version:      {} (minimum version {})\n  OS/Arch:          {}/{}\n  Kernel Version:   {}\n",
        server["Platform"]["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("Docker"),
        client.endpoint(),
        text("Version"),
        text("ApiVersion"),
        text("MinAPIVersion"),
        text("Os"),
        text("Arch"),
        text("KernelVersion"),
    ));
    Ok(0)
}

/// What is told of an engine, and what it is called in docker's document.
const TOLD: [(&str, &str); 15] = [
    (" Containers", "Containers"),
    ("  Running", "ContainersRunning"),
    ("  Paused", "ContainersPaused"),
    ("  Stopped", "ContainersStopped"),
    (" Images", "Images"),
    (" Server Version", "ServerVersion"),
    (" Storage Driver", "Driver"),
    (" Default Runtime", "DefaultRuntime"),
    (" Kernel Version", "KernelVersion"),
    (" Operating System", "OperatingSystem"),
    (" OSType", "OSType"),
    (" Architecture", "Architecture"),
    (" CPUs", "NCPU"),
    (" Name", "Name"),
    (" ID", "ID"),
];

pub(super) fn info(context: &Context) -> Outcome {
    let client = context.far()?;
    let mut info: Value = client.call(Request::get("/info"))?;
    if let Some(format) = context.matches().string("format").filter(|text| !text.is_empty()) {
        info["ClientInfo"] = info::client(context, &format!("1.{}", client.version()?))?;
        print(&context.ui, format, &info)?;
        return Ok(0);
    }
    let mut text =
        format!("Client: mica\n Version:    {VERSION}\n\nServer: {}\n", client.endpoint());
    for (words, name) in TOLD {
        let value = &info[name];
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("{words}: {shown}\n"));
    }
    let memory = bytes_size(info["MemTotal"].as_f64().unwrap_or_default());
    let root = info["DockerRootDir"].as_str().unwrap_or_default();
    text.push_str(&format!(" Total Memory: {memory}\n Docker Root Dir: {root}\n"));
    context.ui.print(&text);
    Ok(0)
}
