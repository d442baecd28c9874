//! The processes of a container, as the host's `ps` shows them.

use std::fs;
use std::process::Command;

use spec::bundle::NamespaceKind;

use crate::error::{Result, RuntimeError};

/// Processes as rows of what `ps` was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessTable {
    /// What stands above the columns.
    pub titles: Vec<String>,
    /// A process a row.
    pub processes: Vec<Vec<String>>,
}

/// What `ps` is told unless something else is asked for.
const USUAL: &str = "-ef";

impl ProcessTable {
    /// These processes, with the columns that options of `ps` ask for.
    pub fn of(pids: &[i32], options: &[String]) -> Result<ProcessTable> {
        let options = words(options);
        check(&options)?;
        let list = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        // Not every `ps` can be asked for some processes alone.
        let alone = [options.as_slice(), &["-q".to_owned(), list]].concat();
        let text = ps(&alone).or_else(|_| ps(&options))?;
        read(&text, pids)
    }
}

/// The processes that are in the same namespace of a kind as this one, as far as we may know.
pub fn in_namespace_of(pid: i32, kind: NamespaceKind) -> Result<Vec<i32>> {
    let step = || RuntimeError::step("list processes");
    let file = kind.file_name();
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{file}"));
    let own = namespace(pid).map_err(step())?;
    let mut list = Vec::new();
    for entry in fs::read_dir("/proc").map_err(step())? {
        let name = entry.map_err(step())?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && namespace(pid).is_ok_and(|namespace| namespace == own)
        {
            list.push(pid);
        }
    }
    Ok(list)
}

fn refused(why: impl Into<String>) -> RuntimeError {
    RuntimeError::ProcessList { why: why.into() }
}

/// Options are words, however they came.
fn words(options: &[String]) -> Vec<String> {
    let words: Vec<String> =
        options.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    if words.is_empty() { vec![USUAL.to_owned()] } else { words }
}

/// Another column called `PID` would decide which processes are the container's.
fn check(options: &[String]) -> Result<()> {
    let whole = options.join(" ");
    for part in whole.split([' ', ',']) {
        if let Some((column, title)) = part.split_once('=')
            && title.starts_with("PID")
            && column != "pid"
        {
            return Err(refused(format!("specifying \"{part}\" is not allowed")));
        }
    }
    Ok(())
}

fn ps(options: &[String]) -> Result<String> {
    let output = Command::new("ps").args(options).output();
    let output = output.map_err(RuntimeError::step("run ps"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| !line.is_empty()).unwrap_or("it failed");
        return Err(refused(format!("ps: {line}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rows of these processes.
fn read(text: &str, pids: &[i32]) -> Result<ProcessTable> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    let Some(column) = titles.iter().position(|title| title == "PID") else {
        return Err(refused("Couldn't find PID field in ps output"));
    };
    let mut table = ProcessTable { titles, processes: Vec::new() };
    let mut was_ours = false;
    for line in lines {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        was_ours = match fields.get(column) {
            // A thread follows its process.
            Some(&"-") => was_ours,
            Some(pid) => pid.parse().is_ok_and(|pid| pids.contains(&pid)),
            None => false,
        };
        if was_ours {
            let split = fields.len().min(table.titles.len()) - 1;
            let mut row: Vec<String> = fields[..split].iter().map(ToString::to_string).collect();
            row.push(fields[split..].join(" "));
            table.processes.push(row);
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_others_are_left_out_and_the_last_column_keeps_its_blanks() {
        let text = "UID   PID CMD\nroot    1 init\nroot   70 sh -c sleep\n0    - -\nbob  71 x\n";
        let table = read(text, &[70]).unwrap();
        assert_eq!(table.titles, ["UID", "PID", "CMD"]);
        assert_eq!(table.processes, [["root", "70", "sh -c sleep"], ["0", "-", "-"]]);
        assert!(read("USER CMD\n", &[1]).is_err());
    }

    #[test]
    fn no_other_column_may_pass_for_the_pid() {
        let options = |text: &str| words(&[text.to_owned()]);
        assert!(check(&options("-o pid=PID,comm=WHAT")).is_ok());
        assert!(check(&options("-e -o ppid=PID")).is_err());
        assert_eq!(options(""), ["-ef"]);
        assert_eq!(options(" -o  pid"), ["-o", "pid"]);
    }
}
