//! What `-v`, `--mount` and `--tmpfs` take and refuse.

use super::*;

#[track_caller]
fn bind(text: &str) -> Bind {
    parse_bind(text).unwrap()
}

#[test]
fn binds_are_read() {
    let volume = bind("/data");
    assert_eq!((volume.mount.kind, volume.mount.source.as_str()), (MountKind::Volume, ""));
    let named = bind("cache:/var/cache/:ro,nocopy");
    assert_eq!(named.mount.target, "/var/cache");
    assert!(named.mount.read_only && named.mount.volume_options.unwrap().no_copy);
    assert_eq!(named.mode, "ro,nocopy");
    let path = bind("/src:/dst:rslave,Z");
    assert_eq!(path.relabel, Some('Z'));
    let options = path.mount.bind_options.unwrap();
    assert_eq!(options.propagation, "rslave");
    assert!(options.create_mountpoint);
}

#[test]
fn what_is_no_bind_is_refused() {
    let check = |text: &str, words: &str| {
        let error = parse_bind(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    };
    check(":/a", "invalid volume specification: ':/a'");
    check("/a:", "invalid volume specification");
    check("/a:/b:", "invalid volume specification");
    check("/a:/b:ro:x", "invalid volume specification");
    check("/a:/b:what", "invalid mode: what");
    check("/a:/b:ro,rw", "invalid mode");
    check("/a:/b:nocopy", "invalid mode: nocopy");
    check("v1:/b:shared", "invalid mode: shared");
    check("/a:b", "mount path must be absolute");
    check("/a:/", "destination can't be '/'");
    check("/a:/..", "destination can't be '/'");
    check("-x:/b", "includes invalid characters for a local volume name");
    check("x:/b", "create x: volume name is too short, names should be at least two alphanumeric");
    check("x:/b:zz", "invalid mode: zz");
    let wrapped = "invalid volume specification: 'x:y': invalid mount config for type \"volume\": ";
    check("x:y", &format!("{wrapped}invalid mount path: 'y' mount path must be absolute"));
}

#[test]
fn mounts_are_read() {
    let mount = parse_mount(&["type=bind", "src=/a", "dst=/b", "ro", "bind-propagation=shared"]);
    let mount = mount.unwrap();
    assert_eq!((mount.source.as_str(), mount.target.as_str()), ("/a", "/b"));
    assert!(mount.read_only);
    assert_eq!(mount.bind_options.unwrap().propagation, "shared");
    let fields = ["target=/v", "volume-label=a=b", "volume-opt=o=size=1", "volume-driver=local"];
    let mount = parse_mount(&fields).unwrap();
    let options = mount.volume_options.unwrap();
    assert_eq!(options.labels["a"], "b");
    assert_eq!(options.driver_config.unwrap().options["o"], "size=1");
    let fields = ["type=tmpfs", "target=/t", "tmpfs-size=1m", "tmpfs-mode=0700"];
    let options = parse_mount(&fields).unwrap().tmpfs_options.unwrap();
    assert_eq!((options.size_bytes, options.mode), (1 << 20, 0o700));
}

#[test]
fn what_is_no_mount_is_refused() {
    let check = |fields: &[&str], words: &str| {
        let error = parse_mount(fields).unwrap_err().to_string();
        assert!(error.contains(words), "{fields:?}: {error}");
    };
    check(&["type=bind"], "target is required");
    check(&["type="], "type is required");
    check(&["type=bind", "dst=/b"], "field Source must not be empty");
    check(&["type=tmpfs", "src=/a", "dst=/b"], "field Source must not be specified");
    check(&["type=odd", "dst=/b"], "invalid mount config for type \"odd\": mount type unknown");
    check(&["dst=/b", "what"], "invalid field 'what' must be a key=value pair");
    check(&["dst=/b", "what=1"], "unexpected key 'what' in 'what=1'");
    check(&["dst=/b", "ro=maybe"], "invalid value for ro: maybe");
    check(&["type=tmpfs", "dst=/b", "volume-nocopy"], "cannot mix 'volume-*' options");
    check(&["dst=/b", "tmpfs-size=1"], "cannot mix 'tmpfs-*' options with mount type 'volume'");
    let writable = ["type=bind", "src=/a", "dst=/b", "bind-recursive=writable"];
    check(&writable, "requires 'readonly'");
    let forced = ["type=bind", "src=/a", "dst=/b", "ro", "bind-recursive=readonly"];
    check(&forced, "requires 'bind-propagation=rprivate'");
}

#[test]
fn tmpfs_is_read() {
    assert_eq!(parse_tmpfs("/run:rw,size=1m"), Ok(("/run".to_owned(), "rw,size=1m".to_owned())));
    assert_eq!(parse_tmpfs("run"), Err(MountError::Relative("run".to_owned())));
}
