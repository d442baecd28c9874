//! `mica save`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use engine::{Save, SaveTarget};

use super::platform;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let target = match matches.string("output").filter(|text| !text.is_empty()) {
        Some(path) => match path.strip_prefix("oci:") {
            Some(folder) => SaveTarget::Folder(folder.into()),
            None => SaveTarget::File(path.strip_prefix("docker-archive:").unwrap_or(path).into()),
        },
        None if context.ui.is_terminal() => {
            return Err(Failure::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        None => SaveTarget::Stream(stdout()?),
    };
    let save = Save { images: context.names().to_vec(), platform: platform(context)? };
    context.engine()?.save(&save, target)?;
    Ok(0)
}

fn stdout() -> Result<File, Failure> {
    let copied = io::stdout().as_fd().try_clone_to_owned();
    copied.map(File::from).map_err(|error| {
        Failure::new(format!("error: cannot write to standard output: {error}"))
    })
}
