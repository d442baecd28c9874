//! `--device` of `RUN`: devices of the host that a command wants, by their names.

use super::mount::{csv, flag, written};
use crate::error::{BuildError, Span};

/// A device, or several that have a name in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// `vendor.com/class=name`, a class, or what such a device is annotated with.
    pub name: String,
    /// Whether the command must not run without it.
    pub required: bool,
    /// As it is written.
    pub text: String,
}

impl Device {
    /// Reads `vendor.com/class=name,required`.
    pub fn parse(text: &str) -> Result<Device, String> {
        let mut device = Device { text: text.to_owned(), ..Device::default() };
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

    /// The device with what its variables hold in place of their names.
    pub fn expanded(
        &self,
        at: Span,
        expand: &dyn Fn(&str) -> Result<String, BuildError>,
    ) -> Result<Device, BuildError> {
        if !self.text.contains('$') {
            return Ok(self.clone());
        }
        let wrong = |message: String| BuildError::refused(at, message);
        let mut fields = csv(&self.text).map_err(wrong)?;
        for field in &mut fields {
            *field = match field.split_once('=') {
                Some((name, value)) => format!("{name}={}", expand(value)?),
                None => expand(field)?,
            };
        }
        Device::parse(&written(&fields)).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_and_perhaps_required() {
        let check = |text: &str, name: &str, required| {
            let device = Device { name: name.to_owned(), required, text: text.to_owned() };
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

    #[test]
    fn variables_are_known_later() {
        let values = [("$NO", "false"), ("$X", "true"), ("$Y", "perhaps")];
        let put = |word: String, (name, value): &(&str, &str)| word.replace(name, value);
        let expand = |word: &str| Ok(values.iter().fold(word.to_owned(), put));
        let check = |text: &str, name: &str, required| {
            let device = Device::parse(text).unwrap().expanded(Span::new(1, 1), &expand);
            let device = device.unwrap();
            assert_eq!((device.name.as_str(), device.required), (name, required), "{text}");
        };
        check("vendor.com/class,required=$X", "vendor.com/class", true);
        check("vendor.com/class=$X,required=$NO", "vendor.com/class=true", false);
        check("name=vendor.com/$X,required", "vendor.com/true", true);
        check("$X/class", "true/class", false);
        let wrong = Device::parse("a,required=$Y").unwrap().expanded(Span::new(1, 1), &expand);
        assert!(wrong.unwrap_err().to_string().contains("invalid value for required"));
    }
}
