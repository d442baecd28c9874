//! What docker refuses is refused, in its words, and nothing is left of it.

use super::support::Root;

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_made() {
    let Some(root) = Root::new() else { return };
    root.sleeper("web", "");
    let refused = |flags: &str, words: &str| {
        root.run(&format!("run --rm {flags} bb true")).complains(125, words);
    };
    refused("-w srv", "the working directory 'srv' is invalid, it needs to be an absolute path");
    refused("-u 3000000000", "uids and gids must be in range 0-2147483647");
    refused("--health-interval 1ns", "Interval in Healthcheck cannot be less than 1ms");
    refused("--cpuset-cpus 4000", "Requested CPUs are not available - requested 4000, available: ");
    refused("--cpuset-mems two", "Invalid value two for cpuset mems");
    refused("--cpu-shares -5", "shares: invalid argument");
    refused("--tmpfs /t:what", "invalid tmpfs option [\"what\"]");
    refused("--uts host -h box", "conflicting options: hostname and the UTS mode");
    refused("--userns private", "--userns: invalid USER mode");
    refused("-v x/y:/z", "create x/y: \"x/y\" includes invalid characters for a local volume name");
    refused("-v a:/z", "create a: volume name is too short, names should be at least two");
    refused("-v a:/z:zz", "invalid mode: zz");
    refused(
        "-v vol:y",
        "invalid volume specification: 'vol:y': invalid mount config for type \"volume\": invalid \
         mount path: 'y' mount path must be absolute",
    );
    refused("--volumes-from ''", "volumes-from specification cannot be an empty string");
    refused(
        "--mount type=volume,src=vol,dst=/x,volume-subpath=../../other/_data",
        "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
    );
    refused("-v :/z", "invalid spec: :/z: empty section between colons");
    refused("--device here", "here is not an absolute path");
    let wrong = |flag: &str, value: &str, names: &str, why: &str| {
        let words = format!("invalid argument \"{value}\" for \"{names}\" flag: {why}");
        refused(&format!("{flag} '{value}'"), &words);
    };
    wrong("--sysctl", "vm.swappiness=1", "--sysctl", "sysctl 'vm.swappiness=1' is not allowed");
    wrong("--dns-search", "a b", "--dns-search", "a b is not a valid domain");
    wrong("--dns", "here", "--dns", "IP address is not correctly formatted: here");
    wrong("--label", "=x", "-l, --label", "invalid label '=x': empty name");
    wrong("--link", "a:b:c", "--link", "bad format for links: a:b:c");
    let shared = |flag: &str, words: &str| {
        refused(
            &format!("--network container:web {flag}"),
            &format!("conflicting options: {words}"),
        );
    };
    shared("-h box", "hostname and the network mode");
    shared("--dns 1.1.1.1", "dns and the network mode");
    shared("--add-host a:1.1.1.1", "custom host-to-IP mapping and the network mode");
    shared("-p 8080:80", "port publishing and the container type network mode");
    shared("--expose 80", "port exposing and the container type network mode");
    let words = "network-scoped aliases are only supported for user-defined networks";
    refused("--network-alias web", words);
    refused("--network host --network-alias web", words);
    assert_eq!(root.ok("ps -aq").lines().count(), 1);
}

#[test]
fn ports_that_nobody_hears_of_are_said_to_be_lost() {
    let Some(root) = Root::new() else { return };
    let run = root.run("run --rm --network host -p 8080:80 bb true");
    let words = "WARNING: Published ports are discarded when using host network mode";
    assert_eq!((run.code, run.err.trim()), (0, words), "{run}");
}

#[test]
fn removing_what_is_not_there_is_told_and_no_error() {
    let Some(root) = Root::new() else { return };
    let run = root.run("rm -f nobody");
    let words = "Error response from daemon: No such container: nobody";
    assert_eq!((run.code, run.out.as_str(), run.err.trim()), (0, "", words), "{run}");
}

#[test]
fn templates_fail_over_what_no_container_has() {
    let Some(root) = Root::new() else { return };
    root.ok("create --name box --network none bb true");
    let said = |field: &str| root.run(&format!("inspect -f '{{{{{field}}}}}' box"));
    let missing = "<.State.Health.Status>: map has no entry for key \"Health\"";
    said(".State.Health.Status").complains(1, missing);
    said(".HostConfig.Nothing").complains(1, "map has no entry for key \"Nothing\"");
    assert_eq!(root.ok("inspect -f '{{.State.Health}} {{.HostConfig.Init}}' box"), "<nil> <nil>");
    let shown =
        "inspect -f '{{.HostConfig.Tmpfs}} {{.State.Status}} {{len .HostConfig.Sysctls}}' box";
    assert_eq!(root.ok(shown), "map[] created 0");
}
