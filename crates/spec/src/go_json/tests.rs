use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{ContainerConfig, HostConfig, ImageConfig, NetworkingConfig, Resources};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Sample {
    name: String,
    count: i32,
    on: bool,
    maybe: Option<String>,
    list: Vec<String>,
    map: BTreeMap<String, String>,
    inner: Inner,
    inners: Vec<Inner>,
    pair: [u8; 2],
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Inner {
    #[serde(rename = "IPRange")]
    range: String,
}

#[track_caller]
fn sample(text: &str) -> Sample {
    from_slice(text.as_bytes(), Behind::Refused).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn refused(text: &str, words: &str) {
    let error = from_slice::<Sample>(text.as_bytes(), Behind::Refused).unwrap_err().to_string();
    assert!(error.contains(words), "{text}: {error}");
}

#[test]
fn fields_are_called_in_any_case_and_the_last_counts() {
    let inner = |range: &str| Inner { range: range.to_owned() };
    let read =
        sample(r#"{"NAME":"a","name":"b","iNNER":{"iprange":"r"},"inners":[{"IPRANGE":"s"}]}"#);
    let expected = Sample {
        name: "b".into(),
        inner: inner("r"),
        inners: vec![inner("s")],
        ..Sample::default()
    };
    assert_eq!(read, expected);
    assert_eq!(sample(r#"{"name":"b","Name":"a"}"#).name, "a");
    assert_eq!(sample(r#"{"Name":"a","Name":"b"}"#).name, "b");
    assert_eq!(sample(r#"{"Name":"a","name":"b","Name":"c"}"#).name, "c");
    assert_eq!(sample(r#"{"name":"a","Name":"b","name":"c","Name":null}"#).name, "c");
    assert_eq!(sample(r#"{"Name":"a","Name":null}"#).name, "a");
    assert_eq!(sample(r#"{"Name":null,"Name":"a"}"#).name, "a");
    // Keys of a map are no fields.
    let map = sample(r#"{"map":{"a":"1","A":"2"}}"#).map;
    assert_eq!(map, BTreeMap::from([("a".into(), "1".into()), ("A".into(), "2".into())]));
}

#[test]
fn null_says_nothing() {
    let nothing = r#"{"name":null,"count":null,"on":null,"maybe":null,"list":null,"map":null,
        "inner":null,"inners":null,"pair":null}"#;
    assert_eq!(sample(nothing), Sample::default());
    let read = sample(
        r#"{"name":"a","Name":null,"list":[null],"map":{"x":null},"inners":[null,{"IPRange":null}]}"#,
    );
    assert_eq!(read.name, "a");
    assert_eq!(read.list, [""]);
    assert_eq!(read.map, BTreeMap::from([("x".into(), String::new())]));
    assert_eq!(read.inners, [Inner::default(), Inner::default()]);
    assert_eq!(sample(r#"{"pair":[]}"#).pair, [0, 0]);
    assert_eq!(sample(r#"{"pair":[1,null,3]}"#).pair, [1, 0]);
    assert_eq!(from_slice::<Option<Sample>>(b" null ", Behind::Refused).unwrap(), None);
}

#[test]
fn one_kind_of_value_is_not_taken_for_another() {
    refused(r#"["a"]"#, "invalid type: sequence, expected struct Sample");
    refused("[]", "invalid type: sequence");
    refused(r#"{"inner":["r"]}"#, "invalid type: sequence");
    refused(r#"{"name":1}"#, "expected a string");
    refused(r#"{"count":"1"}"#, "expected i32");
    refused(r#"{"count":1.0}"#, "expected i32");
    refused(r#"{"count":3000000000}"#, "expected i32");
    refused(r#"{"on":1}"#, "expected a boolean");
    refused(r#"{"list":"a"}"#, "expected a sequence");
    refused(r#"{"map":[]}"#, "expected a map");
    refused("", "EOF");
}

#[test]
fn what_follows_is_refused_or_ignored() {
    let read = |text: &str, behind| from_slice::<Sample>(text.as_bytes(), behind).map(|it| it.name);
    for text in [r#"{"Name":"a"} {"Name":"b"}"#, r#"{"Name":"a"}nonsense"#, "{\"Name\":\"a\"}\0"] {
        assert_eq!(read(text, Behind::Ignored).unwrap(), "a");
        assert!(read(text, Behind::Refused).is_err(), "{text}");
    }
    assert_eq!(read("{\"Name\":\"a\"} \n", Behind::Refused).unwrap(), "a");
}

#[test]
fn what_is_no_text_becomes_the_letter_that_says_so() {
    let name = |bytes: &[u8]| from_slice::<Sample>(bytes, Behind::Refused).unwrap().name;
    assert_eq!(name(b"{\"Name\":\"a\xff\xfeb\"}"), "a\u{fffd}\u{fffd}b");
    assert_eq!(name(b"{\"Name\":\"a\xe2\x82\"}"), "a\u{fffd}\u{fffd}");
    assert_eq!(name(br#"{"Name":"\ud800"}"#), "\u{fffd}");
    assert_eq!(name(br#"{"Name":"\udc00\ud800x\uD83D\ude00"}"#), "\u{fffd}\u{fffd}x\u{1f600}");
    assert_eq!(name(br#"{"Name":"\ud800\u0041"}"#), "\u{fffd}A");
    // A backslash that is escaped begins no escape.
    assert_eq!(name(br#"{"Name":"\\ud800\\\ud800"}"#), "\\ud800\\\u{fffd}");
    assert!(from_slice::<Sample>(br#"{"Name":"\ud8"}"#, Behind::Refused).is_err());
    assert!(from_slice::<Sample>(b"{\xff}", Behind::Refused).is_err());
}

#[test]
fn depth_has_its_end() {
    let deep = |count: usize| [vec![b'['; count], vec![b']'; count]].concat();
    assert!(from_slice::<Value>(&deep(120), Behind::Refused).is_ok());
    for count in [130, 1_000_000] {
        let error = from_slice::<Value>(&deep(count), Behind::Ignored).unwrap_err();
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
}

/// A document with all names of its fields in another case.
fn lowered(value: Value, keep: &[&str]) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| match keep.contains(&name.as_str()) {
                // Its members have names of the user's own.
                true => (name.to_lowercase(), value),
                false => (name.to_lowercase(), lowered(value, keep)),
            })
            .collect(),
        Value::Array(list) => list.into_iter().map(|value| lowered(value, keep)).collect(),
        other => other,
    }
}

#[test]
fn dockers_documents_are_read_in_any_case() {
    let host = json!({
        "Memory": 7, "Binds": ["a:/b"], "CapAdd": "CHOWN", "NetworkMode": "host",
        "Ulimits": [{ "Name": "nofile", "Soft": 1, "Hard": null }],
        "Devices": [{ "PathOnHost": "/dev/x", "PathInContainer": null }],
        "BlkioDeviceReadIOps": [{ "Path": "/dev/y", "Rate": 3 }],
        "Mounts": [{ "Type": "bind", "BindOptions": { "Propagation": "shared" } }],
        "RestartPolicy": { "Name": "always" }, "Isolation": null, "Unknown": 3,
    });
    let read: HostConfig = from_value(lowered(host.clone(), &[])).unwrap();
    assert_eq!(read, from_value(host).unwrap());
    assert_eq!((read.resources.memory, read.network_mode.as_str()), (7, "host"));
    assert_eq!(read.cap_add, Some(vec!["CHOWN".to_owned()]));
    assert_eq!(read.resources.ulimits.as_ref().unwrap()[0].soft, 1);
    assert_eq!(read.resources.devices.as_ref().unwrap()[0].path_on_host, "/dev/x");
    assert_eq!(read.resources.blkio_device_read_iops.as_ref().unwrap()[0].rate, 3);
    assert_eq!(read.mounts[0].bind_options.as_ref().unwrap().propagation, "shared");
    // What is written is what was there before, and is read by any reader.
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<HostConfig>(&written).unwrap(), read);
    let limits: Resources = from_value(json!({ "memory": 5, "CPUSHARES": 6 })).unwrap();
    assert_eq!((limits.memory, limits.cpu_shares), (5, 6));

    let image = json!({
        "architecture": "amd64", "OS": "linux", "rootfs": { "TYPE": "layers", "diff_ids": null },
        "config": { "cmd": ["a", null], "Env": [null, "b"], "labels": { "X": null }, "Own": null },
        "History": [{ "CREATED_BY": "it", "empty_layer": true }], "own": { "A": null },
    });
    let read: ImageConfig = from_value(image).unwrap();
    assert_eq!((read.os.as_str(), read.rootfs.kind.as_str()), ("linux", "layers"));
    assert_eq!(Value::Object(read.rest), json!({ "own": { "A": null } }));
    assert_eq!(read.history[0].created_by, "it");
    let config = read.config.unwrap();
    assert_eq!(config.cmd.unwrap(), ["a", ""]);
    assert_eq!(config.env, ["", "b"]);
    assert_eq!(config.labels["X"], "");
    let networks =
        json!({ "endpointsconfig": { "Net": { "ipamconfig": { "ipv4address": "x" } } } });
    let networks: NetworkingConfig = from_value(networks).unwrap();
    let address = networks.endpoints_config["Net"].ipam_config.as_ref().unwrap();
    assert_eq!(address.ipv4_address, "x");
}

#[test]
fn strict_readers_read_as_before() {
    let text = r#"{"Cmd":"sh","Env":["A=b"],"Memory":3,"Own":{"b":1,"a":[null]}}"#;
    let read: ContainerConfig = serde_json::from_str(text).unwrap();
    assert_eq!(
        Value::Object(read.rest.clone()),
        json!({ "Memory": 3, "Own": { "b": 1, "a": [null] } })
    );
    assert_eq!(read.cmd.clone().unwrap(), ["sh"]);
    let again: ContainerConfig =
        serde_json::from_slice(&serde_json::to_vec(&read).unwrap()).unwrap();
    assert_eq!(again, read);
    assert!(serde_json::from_str::<ContainerConfig>(r#"["host"]"#).is_err());
    assert!(serde_json::from_str::<HostConfig>(r#"{"Memory":"3"}"#).is_err());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-cA-C]{0,3}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_stays_what_it_is(value in any_value()) {
        let text = value.to_string();
        let read: Value = from_slice(text.as_bytes(), Behind::Refused).unwrap();
        prop_assert_eq!(read, value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = from_slice::<Value>(&bytes, Behind::Ignored);
        let text = [b"{\"Name\":\"", &bytes[..], b"\"}"].concat();
        let _ = from_slice::<Sample>(&text, Behind::Refused);
    }

    #[test]
    fn any_value_is_a_document_or_refused(value in any_value()) {
        let _ = from_value::<Sample>(value.clone());
        let _ = from_value::<HostConfig>(value.clone());
        let _ = from_value::<ImageConfig>(value);
    }

    #[test]
    fn escapes_are_mended_like_any(text in r#"(\\ud[0-9a-f]{3}|\\\\|a|\\n|\\u0041){0,8}"#) {
        let text = format!("\"{text}\"");
        prop_assert!(from_slice::<String>(text.as_bytes(), Behind::Refused).is_ok(), "{}", text);
    }
}
