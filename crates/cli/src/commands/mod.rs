//! The commands: arguments, one call, what is shown.

pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod df;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod layout;
pub(crate) mod load;
pub(crate) mod look;
pub(crate) mod manifest;
pub(crate) mod mount;
pub(crate) mod prune;
pub(crate) mod rmi;
pub(crate) mod save;
pub(crate) mod tag;
pub(crate) mod version;

use engine::ImageFilter;
use spec::Platform;

use crate::context::Context;
use crate::failure::Failure;

/// The platform that `--platform` names.
fn platform(context: &Context) -> Result<Option<Platform>, Failure> {
    let text = context.matches().string("platform").filter(|text| !text.is_empty());
    text.map(parse_platform).transpose()
}

fn parse_platform(text: &str) -> Result<Platform, Failure> {
    Platform::parse(text).map_err(|error| Failure::new(format!("invalid platform: {error}")))
}

/// The conditions that `--filter` gives.
fn filters(context: &Context) -> Result<Vec<ImageFilter>, Failure> {
    let list = context.matches().list("filter");
    Ok(list.iter().map(|text| ImageFilter::parse(text)).collect::<Result<_, _>>()?)
}
