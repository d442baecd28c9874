//! `mica top`.

use engine::ProcessTable;

use crate::context::Context;
use crate::failure::Outcome;
use crate::table::TabWriter;

pub(crate) fn run(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let (name, options) = (&context.names()[0], &context.names()[1..]);
    let id = engine.containers().find(name)?;
    let table = engine.container_processes(&id, options)?;
    show(context, &table)
}

/// Shows processes.
pub(crate) fn show(context: &Context, table: &ProcessTable) -> Outcome {
    let rows = std::iter::once(&table.titles).chain(&table.processes);
    let text: String = rows.map(|row| format!("{}\n", row.join("\t"))).collect();
    context.ui.print(&TabWriter::DOCKER_WIDE.lay_out(&text));
    Ok(0)
}
