//! `--device` of `RUN`: devices of the host that a command wants, by their names.

use super::mount::{csv, flag};

/// A device, or several that have a name in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// `vendor.com/class=name`, a class, or what such a device is annotated with.
    pub name: String,
    /// Whether the command must not run without it.
    pub required: bool,
}

impl Device {
    /// Reads `vendor.com/class=name,required`.
    pub fn parse(text: &str) -> Result<Device, String> {
        let mut device = Device::default();
        for field in csv(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
                None => (field.to_ascii_lowercase(), None),
            };
            match (key.as_str(), value) {
                ("required", value) => device.required = flag(&key, value)?,
                ("name", Some(name)) if device.name.is_empty() => name.clone_into(&mut device.name),
                _ if device.name.is_empty() => device.name = field,
                _ => return Err(format!("unexpected key '{key}' in '{field}'")),
            }
        }
        match device.name.is_empty() {
            true => Err("a device needs a name".to_owned()),
            false => Ok(device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_and_perhaps_required() {
        let check = |text: &str, name: &str, required| {
            let device = Device { name: name.to_owned(), required };
            assert_eq!(Device::parse(text), Ok(device), "{text}");
        };
        check("vendor.com/class", "vendor.com/class", false);
        check("vendor.com/class=one", "vendor.com/class=one", false);
        check("vendor.com/class=*,required", "vendor.com/class=*", true);
        check("required=false,name=vendor.com/class=one", "vendor.com/class=one", false);
        for wrong in ["", "required", "a,b", "name=a,name=b", "a,required=perhaps"] {
            assert!(Device::parse(wrong).is_err(), "{wrong}");
        }
    }
}
