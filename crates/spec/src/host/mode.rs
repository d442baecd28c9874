//! Which namespaces a container has of its own, and whose it shares otherwise.

/// The namespace of processes, host names or users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceMode {
    /// One of its own.
    Private,
    /// The host's.
    Host,
    /// Another container's.
    Container(String),
}

impl NamespaceMode {
    /// Reads `--pid`, `--uts` or `--userns`; `None` if it is none of these.
    pub fn parse(text: &str) -> Option<NamespaceMode> {
        match text {
            "" | "private" => Some(NamespaceMode::Private),
            "host" => Some(NamespaceMode::Host),
            _ => of_container(text).map(NamespaceMode::Container),
        }
    }
}

/// The namespace of shared memory and queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpcMode {
    /// One of its own, that nobody else may join.
    Private,
    /// One of its own, that other containers may join.
    Shareable,
    /// One of its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
    /// Another container's.
    Container(String),
}

impl IpcMode {
    /// Reads `--ipc`; `None` if it is none of these. Nothing given is private, as docker's default.
    pub fn parse(text: &str) -> Option<IpcMode> {
        match text {
            "" | "private" => Some(IpcMode::Private),
            "shareable" => Some(IpcMode::Shareable),
            "none" => Some(IpcMode::None),
            "host" => Some(IpcMode::Host),
            _ => of_container(text).map(IpcMode::Container),
        }
    }
}

/// The namespace of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupnsMode {
    /// One of its own.
    Private,
    /// The host's.
    Host,
}

impl CgroupnsMode {
    /// Reads `--cgroupns`, with what counts where nothing is given; `None` if it is none of these.
    pub fn parse(text: &str, otherwise: CgroupnsMode) -> Option<CgroupnsMode> {
        match text {
            "" => Some(otherwise),
            "private" => Some(CgroupnsMode::Private),
            "host" => Some(CgroupnsMode::Host),
            _ => None,
        }
    }
}

/// The network a container stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// The host's own.
    Host,
    /// Nothing but a loopback.
    None,
    /// Another container's.
    Container(String),
    /// The network of this name or id.
    Named(String),
}

impl NetworkMode {
    /// Reads `--network`. Nothing given is the default bridge.
    pub fn parse(text: &str) -> NetworkMode {
        match text {
            "" | "default" | "bridge" => NetworkMode::Named("bridge".to_owned()),
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            _ => match of_container(text) {
                Some(container) => NetworkMode::Container(container),
                None => NetworkMode::Named(text.to_owned()),
            },
        }
    }

    /// Whether it is a network that a user made.
    pub fn is_user_defined(&self) -> bool {
        matches!(self, NetworkMode::Named(name) if name != "bridge")
    }
}

fn of_container(text: &str) -> Option<String> {
    let name = text.strip_prefix("container:")?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read() {
        assert_eq!(NamespaceMode::parse(""), Some(NamespaceMode::Private));
        assert_eq!(NamespaceMode::parse("host"), Some(NamespaceMode::Host));
        let web = || "web".to_owned();
        assert_eq!(NamespaceMode::parse("container:web"), Some(NamespaceMode::Container(web())));
        assert_eq!(NamespaceMode::parse("container:"), None);
        assert_eq!(NamespaceMode::parse("other"), None);
        assert_eq!(IpcMode::parse("shareable"), Some(IpcMode::Shareable));
        assert_eq!(IpcMode::parse("container:web"), Some(IpcMode::Container(web())));
        assert_eq!(CgroupnsMode::parse("", CgroupnsMode::Host), Some(CgroupnsMode::Host));
        assert_eq!(CgroupnsMode::parse("x", CgroupnsMode::Host), None);
    }

    #[test]
    fn networks_are_read() {
        assert_eq!(NetworkMode::parse(""), NetworkMode::Named("bridge".to_owned()));
        assert!(!NetworkMode::parse("default").is_user_defined());
        assert!(NetworkMode::parse("mine").is_user_defined());
        assert_eq!(NetworkMode::parse("container:web"), NetworkMode::Container("web".to_owned()));
        assert_eq!(NetworkMode::parse("none"), NetworkMode::None);
    }
}
