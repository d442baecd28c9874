//! `mica image export-layout`.

use engine::{Save, SaveTarget};

use super::save::document;
use super::{formatted, platform};
use crate::context::Context;
use crate::failure::Outcome;

pub(crate) fn run(context: &Context) -> Outcome {
    let names = context.names();
    let (folder, images) = names.split_last().expect("the grammar asks for two words");
    let save = Save { images: images.to_vec(), platform: platform(context)?, called: None };
    let saved = context.engine()?.save(&save, SaveTarget::Layout(folder.into()))?;
    formatted(context, saved.iter().map(|image| document(image, folder)))?;
    Ok(0)
}
