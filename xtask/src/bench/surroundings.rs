//! What the figures depend on beside the tools: the machine, the versions, the sizes.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::plan::Plan;
use super::tools::{self, Lab, TOOLS};
use crate::{Result, process};

/// What the figures depend on beside the tools.
pub(super) fn told(lab: &Lab, plan: &Plan) -> Result<String> {
    let processors = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |line| line.trim_start_matches(['\t', ' ', ':']));
    let count = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut stat = Command::new("stat");
    let system = process::capture(stat.args(["-f", "-c", "%T"]).arg(&plan.folder))?;
    let mut told = format!(
        "{count} processors ({model}), Linux {}, stores on ext4 in a file on {}.\n",
        kernel.trim(),
        system.trim()
    );
    for tool in TOOLS.iter().filter(|tool| plan.takes_part(tool)) {
        let _ = writeln!(told, "- {tool}: {}", tools::version(tool, lab));
    }
    Ok(told)
}

/// The size of each tool's program file; what it loads besides is not counted.
pub(super) fn sizes(lab: &Lab, plan: &Plan) -> String {
    let mut table = String::from("| program | size |\n|---|---:|\n");
    for tool in TOOLS.iter().filter(|tool| plan.takes_part(tool)) {
        let path = if *tool == "mica" {
            lab.mica_binary().map(Path::to_path_buf)
        } else {
            process::find(tool)
        };
        if let Some(size) = path.and_then(|path| std::fs::metadata(path).ok()) {
            let _ = writeln!(table, "| {tool} | {:.1} MiB |", size.len() as f64 / 1_048_576.0);
        }
    }
    table
}
