use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(text: &str) -> ImageConfig {
    ImageConfig::parse(text.as_bytes()).unwrap()
}

#[track_caller]
fn unchanged(text: &str) {
    assert_eq!(String::from_utf8(parse(text).to_bytes()).unwrap(), text);
}

#[test]
fn keeps_every_field() {
    unchanged(&format!(
        r#"{{"architecture":"arm","author":"me","comment":"c","config":{{"Env":["A=b"],"Cmd":["sh"]}},"container":"d","container_config":{{"Image":"i"}},"created":"2020-01-02T03:04:05.6Z","docker_version":"1.13","history":[{{"created":"0001-01-01T00:00:00Z","created_by":"RUN x","author":"me","comment":"buildkit","empty_layer":true}}],"os":"linux","os.features":["f"],"os.version":"1","parent":"p","rootfs":{{"type":"layers","diff_ids":["sha256:{HEX}"]}},"variant":"v7","moby.buildkit.trace":"x","unknown":{{"b":1,"a":[null]}}}}"#
    ));
}

#[test]
fn keeps_every_field_about_containers() {
    let config = r#"{"Hostname":"h","Domainname":"d","User":"1:2","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"ExposedPorts":{"443/tcp":{},"80/tcp":{}},"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":["A="],"Cmd":[],"Healthcheck":{"Test":["CMD","a"],"Interval":1,"Timeout":2,"StartPeriod":3,"StartInterval":4,"Retries":5},"ArgsEscaped":true,"Image":"i","Volumes":{"/a":{}},"WorkingDir":"/w","Entrypoint":["e"],"NetworkDisabled":true,"MacAddress":"m","OnBuild":["RUN"],"Labels":{"a":"1","b":"2"},"StopSignal":"TERM","StopTimeout":0,"Shell":["sh"],"Unknown":{"b":1,"a":2}}"#;
    unchanged(&format!(
        r#"{{"architecture":"","config":{config},"os":"","rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    ));
}

#[test]
fn reads_what_old_tools_wrote() {
    let config = parse(
        r#"{"config":{"Cmd":"sh","Entrypoint":null,"Env":null,"Volumes":null,"Labels":null,"OnBuild":null,"Tty":null,"ExposedPorts":{"80/tcp":null},"Healthcheck":null},"created":null,"history":null,"variant":null,"author":null,"rootfs":{"type":"layers","diff_ids":null}}"#,
    );
    let inner = config.config.as_ref().unwrap();
    assert_eq!(inner.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    assert_eq!(inner.exposed_ports.len(), 1);
    assert_eq!(
        String::from_utf8(config.to_bytes()).unwrap(),
        r#"{"architecture":"","config":{"ExposedPorts":{"80/tcp":{}},"Cmd":["sh"]},"os":"","rootfs":{"type":"layers","diff_ids":[]}}"#
    );
}

#[test]
fn says_what_cannot_be_an_image() {
    let check = |text: &str| parse(text).check().map_err(|error| error.to_string());
    assert_eq!(check("{}"), Err("invalid image JSON, no RootFS key".to_owned()));
    assert_eq!(
        check(r#"{"rootfs":{"type":"tar"}}"#),
        Err("unsupported root file system type \"tar\"".to_owned())
    );
    assert_eq!(check(r#"{"rootfs":{"type":"layers"}}"#), Ok(()));
    assert!(ImageConfig::default().check().is_ok());
    assert!(matches!(ImageConfig::parse(b"[]"), Err(ConfigError::Json(_))));
    assert!(ImageConfig::parse(br#"{"created":"yesterday"}"#).is_err());
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(ImageConfig::parse(deep.as_bytes()).is_err());
    assert!(ImageConfig::parse(br#"{"os":"a","os":"b"}"#).is_err());
    let error = ImageConfig::parse(&vec![b' '; MAX_CONFIG_BYTES + 1]).unwrap_err();
    assert_eq!(error.to_string(), "image configuration of 8388609 bytes is larger than 8388608");
}

#[test]
fn names_its_platform_and_id() {
    let config = parse(r#"{"architecture":"aarch64","os":"Linux","variant":"v8"}"#);
    assert_eq!(config.platform().to_string(), "linux/arm64");
    assert_eq!(ImageConfig::id(b"{}").0, Digest::of(b"{}"));
}

#[test]
fn history_that_does_not_fit_is_borne_with() {
    let step = |empty_layer| History { empty_layer, ..History::default() };
    let layer = DiffId(Digest::of(b""));
    let config = ImageConfig {
        history: vec![step(true), step(false), step(false), step(true), step(false)],
        rootfs: RootFs::new(vec![layer, layer]),
        ..ImageConfig::default()
    };
    assert!(config.check().is_ok());
    let layers: Vec<Option<usize>> =
        config.history_with_layers().into_iter().map(|(_, layer)| layer).collect();
    assert_eq!(layers, [None, Some(0), Some(1), None, None]);
}

proptest! {
    #[test]
    fn takes_any_bytes(bytes: Vec<u8>) {
        prop_assert!(ImageConfig::parse(&bytes).is_err());
    }

    #[test]
    fn parses_what_it_writes(words in prop::collection::vec("\\PC{0,9}", 4), flag: bool) {
        let config = ImageConfig {
            author: words[0].clone(),
            created: Some(Timestamp::UNIX_EPOCH),
            config: Some(ContainerConfig {
                env: words.clone(),
                volumes: words.iter().cloned().collect(),
                labels: words.iter().cloned().map(|word| (word.clone(), word)).collect(),
                tty: flag,
                cmd: flag.then(|| words.clone()),
                ..ContainerConfig::default()
            }),
            ..ImageConfig::default()
        };
        prop_assert_eq!(ImageConfig::parse(&config.to_bytes()).unwrap(), config);
    }
}
