//! `-v`: `[source:]target[:mode,…]`.

use super::{
    BindOptions, Mount, MountError, MountKind, PROPAGATIONS, VolumeOptions, check_volume_name,
    idmap, mount_target,
};

/// What a `-v` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// What is to be mounted; without a source it is a volume that has no name yet.
    pub mount: Mount,
    /// The words after the second colon, as they were given.
    pub mode: String,
    /// Whether the files must be labelled for SELinux: shared (`z`) or private (`Z`).
    pub relabel: Option<char>,
}

/// Reads what `-v` gives. The source must not be relative to a folder: that is the command line's.
pub fn parse_bind(text: &str) -> Result<Bind, MountError> {
    let wrong = || MountError::Bind(text.to_owned());
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        ["", ..] | [_, "", ..] => return Err(wrong()),
        [target] => ("", target, ""),
        // Docker reads `/target:ro` as a source and a target.
        [source, target] => (source, target, ""),
        [source, target, mode] if !mode.is_empty() => (source, target, mode),
        _ => return Err(wrong()),
    };
    let is_path = source.starts_with('/');
    let mut mount = Mount { source: source.to_owned(), ..Mount::default() };
    mount.kind = if is_path { MountKind::Bind } else { MountKind::Volume };
    let relabel = read_mode(&mut mount, mode)?;
    mount.target = mount_target(target).map_err(|why| MountError::Place {
        text: text.to_owned(),
        kind: mount.kind,
        why: Box::new(why),
    })?;
    if !is_path && !source.is_empty() {
        check_volume_name(source)?;
    }
    if is_path {
        // As docker: what `-v` names and is not there becomes a folder.
        mount.bind_options.get_or_insert_default().create_mountpoint = true;
    }
    Ok(Bind { mount, mode: mode.to_owned(), relabel })
}

/// Reads the words after the second colon; each sort of word counts once.
fn read_mode(mount: &mut Mount, mode: &str) -> Result<Option<char>, MountError> {
    let wrong = || MountError::Mode(mode.to_owned());
    let mut relabel = None;
    let (mut access, mut spread) = (0, 0);
    for word in mode.split(',').filter(|_| !mode.is_empty()) {
        match word {
            "ro" | "readonly" | "rw" => {
                access += 1;
                mount.read_only = word != "rw";
            }
            "z" | "Z" if relabel.is_none() => relabel = word.chars().next(),
            "nocopy" if mount.kind == MountKind::Volume => {
                let options: &mut VolumeOptions = mount.volume_options.get_or_insert_default();
                options.no_copy = true;
            }
            "consistent" | "cached" | "delegated" if mount.consistency.is_empty() => {
                mount.consistency = word.to_owned();
            }
            "rro" if mount.kind == MountKind::Bind => {
                access += 1;
                mount.read_only = true;
                let options: &mut BindOptions = mount.bind_options.get_or_insert_default();
                options.read_only_force_recursive = true;
            }
            "idmap" if mount.kind == MountKind::Bind => {
                mount.bind_options.get_or_insert_default().id_map = Some(idmap::parse("")?);
            }
            word if word.starts_with("idmap=") && mount.kind == MountKind::Bind => {
                let options: &mut BindOptions = mount.bind_options.get_or_insert_default();
                options.id_map = Some(idmap::parse(&word["idmap=".len()..])?);
            }
            word if PROPAGATIONS.contains(&word) && mount.kind == MountKind::Bind => {
                spread += 1;
                mount.bind_options.get_or_insert_default().propagation = word.to_owned();
            }
            _ => return Err(wrong()),
        }
    }
    match access > 1 || spread > 1 {
        true => Err(wrong()),
        false => Ok(relabel),
    }
}
