//! `--mount`: `type=…,source=…,target=…` and what goes with each type.

use super::{
    BindOptions, ImageOptions, Mount, MountError, MountKind, PROPAGATIONS, TmpfsOptions,
    VolumeDriver, VolumeOptions, idmap, mount_target,
};
use crate::units::parse_binary_size;

/// Words that may stand without a value.
const BARE: [&str; 5] = ["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"];

/// Reads the fields of a `--mount`, already split at its commas.
pub fn parse_mount<S: AsRef<str>>(fields: &[S]) -> Result<Mount, MountError> {
    let mut mount = Mount::default();
    for field in fields {
        let (key, value) = key_and_value(field.as_ref())?;
        let (key, value) = (key.as_str(), value.as_str());
        match key {
            "type" if value.is_empty() => return Err(wrong("type is required".to_owned())),
            "type" => mount.kind = value.to_lowercase().parse()?,
            "source" | "src" => mount.source = value.to_owned(),
            "target" | "dst" | "destination" => mount.target = value.to_owned(),
            "readonly" | "ro" => mount.read_only = truth(key, value)?,
            "consistency" => mount.consistency = value.to_lowercase(),
            "idmap" => {
                let options: &mut BindOptions = mount.bind_options.get_or_insert_default();
                options.id_map = Some(idmap::parse(value)?);
            }
            _ if key.starts_with("bind-") => bind(&mut mount, key, value)?,
            _ if key.starts_with("volume-") => volume(&mut mount, key, value)?,
            "image-subpath" => {
                let options: &mut ImageOptions = mount.image_options.get_or_insert_default();
                options.subpath = value.to_owned();
            }
            "tmpfs-size" => {
                let bytes = parse_binary_size(value);
                let options: &mut TmpfsOptions = mount.tmpfs_options.get_or_insert_default();
                options.size_bytes = bytes.map_err(|_| invalid(key, value))?;
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| invalid(key, value))?;
                mount.tmpfs_options.get_or_insert_default().mode = mode;
            }
            _ => return Err(wrong(format!("unexpected key '{key}' in '{}'", field.as_ref()))),
        }
    }
    check(&mount)?;
    mount.target = mount_target(&mount.target)?;
    Ok(mount)
}

fn key_and_value(field: &str) -> Result<(String, String), MountError> {
    match field.split_once('=') {
        Some((key, value)) => Ok((key.to_lowercase(), value.to_owned())),
        None => {
            let key = field.to_lowercase();
            if key == "idmap" {
                return Ok((key, String::new()));
            }
            match BARE.contains(&key.as_str()) {
                true => Ok((key, "true".to_owned())),
                false => Err(wrong(format!("invalid field '{field}' must be a key=value pair"))),
            }
        }
    }
}

fn bind(mount: &mut Mount, key: &str, value: &str) -> Result<(), MountError> {
    let options: &mut BindOptions = mount.bind_options.get_or_insert_default();
    match key {
        "bind-propagation" if PROPAGATIONS.contains(&value.to_lowercase().as_str()) => {
            options.propagation = value.to_lowercase();
        }
        "bind-propagation" => return Err(invalid(key, value)),
        "bind-nonrecursive" => options.non_recursive = truth(key, value)?,
        "bind-create-src" => options.create_mountpoint = truth(key, value)?,
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => options.non_recursive = true,
            "writable" => options.read_only_non_recursive = true,
            "readonly" => options.read_only_force_recursive = true,
            _ => {
                return Err(wrong(format!(
                    "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                )));
            }
        },
        _ => return Err(wrong(format!("unexpected key '{key}' in '{key}={value}'"))),
    }
    Ok(())
}

fn volume(mount: &mut Mount, key: &str, value: &str) -> Result<(), MountError> {
    let options: &mut VolumeOptions = mount.volume_options.get_or_insert_default();
    let (name, given) = value.split_once('=').unwrap_or((value, ""));
    match key {
        "volume-nocopy" => options.no_copy = truth(key, value)?,
        "volume-subpath" => options.subpath = value.to_owned(),
        "volume-label" => {
            options.labels.insert(name.to_owned(), given.to_owned());
        }
        "volume-driver" => {
            let driver: &mut VolumeDriver = options.driver_config.get_or_insert_default();
            driver.name = value.to_owned();
        }
        "volume-opt" => {
            let driver = options.driver_config.get_or_insert_default();
            driver.options.insert(name.to_owned(), given.to_owned());
        }
        _ => return Err(wrong(format!("unexpected key '{key}' in '{key}={value}'"))),
    }
    Ok(())
}

/// What does not go together.
fn check(mount: &Mount) -> Result<(), MountError> {
    if mount.target.is_empty() {
        return Err(wrong("target is required".to_owned()));
    }
    let foreign = [
        (mount.volume_options.is_some(), MountKind::Volume, "volume"),
        (mount.bind_options.is_some(), MountKind::Bind, "bind"),
        (mount.tmpfs_options.is_some(), MountKind::Tmpfs, "tmpfs"),
        (mount.image_options.is_some(), MountKind::Image, "image"),
    ];
    for (given, kind, name) in foreign {
        if given && mount.kind != kind {
            return Err(wrong(format!(
                "cannot mix '{name}-*' options with mount type '{}'",
                mount.kind.as_str()
            )));
        }
    }
    let has_source = !mount.source.is_empty();
    match mount.kind {
        MountKind::Bind | MountKind::Image if !has_source => Err(wrong(format!(
            "invalid mount config for type {:?}: field Source must not be empty",
            mount.kind.as_str()
        ))),
        MountKind::Tmpfs if has_source => Err(wrong(
            "invalid mount config for type \"tmpfs\": field Source must not be specified"
                .to_owned(),
        )),
        _ => check_recursion(mount),
    }
}

fn check_recursion(mount: &Mount) -> Result<(), MountError> {
    let Some(options) = &mount.bind_options else { return Ok(()) };
    if options.read_only_non_recursive && !mount.read_only {
        return Err(wrong(
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction"
                .to_owned(),
        ));
    }
    if options.read_only_force_recursive && !mount.read_only {
        return Err(wrong(
            "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction"
                .to_owned(),
        ));
    }
    if options.read_only_force_recursive && options.propagation != "rprivate" {
        // The kernel can promise it only of mounts that nobody else changes.
        return Err(wrong(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Go's words for yes and no.
fn truth(key: &str, value: &str) -> Result<bool, MountError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid(key, value)),
    }
}

fn invalid(key: &str, value: &str) -> MountError {
    wrong(format!("invalid value for {key}: {value}"))
}

fn wrong(text: String) -> MountError {
    MountError::Field(text)
}
