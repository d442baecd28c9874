use proptest::prelude::*;

use super::*;
use crate::config::Healthcheck;

fn changed(changes: &[&str]) -> Result<ContainerConfig, ChangeError> {
    let mut config = ContainerConfig {
        env: vec!["PATH=/bin".to_owned(), "A=old".to_owned()],
        cmd: Some(vec!["inherited".to_owned()]),
        working_dir: "/srv".to_owned(),
        ..ContainerConfig::default()
    };
    apply_changes(&mut config, changes.iter().copied())?;
    Ok(config)
}

fn list(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

#[track_caller]
fn refuse(change: &str, words: &str) {
    assert_eq!(changed(&[change]).unwrap_err().to_string(), words, "{change}");
}

#[track_caller]
fn env(change: &str, expected: &[&str]) {
    let config = changed(&[change]).unwrap();
    assert_eq!(config.env[1..], *expected, "{change}");
}

#[test]
fn commands_are_lists_or_text_for_the_shell() {
    assert_eq!(changed(&["CMD [\"a\", \"b c\"]"]).unwrap().cmd, list(&["a", "b c"]));
    assert_eq!(changed(&["cmd  a \"$b\" "]).unwrap().cmd, list(&["/bin/sh", "-c", "a \"$b\""]));
    assert_eq!(changed(&["CMD [a]"]).unwrap().cmd, list(&["/bin/sh", "-c", "[a]"]));
    assert_eq!(changed(&["CMD []"]).unwrap().cmd, None);
    assert_eq!(changed(&["CMD"]).unwrap().cmd, None);
    let config = changed(&["SHELL [\"/bin/bash\", \"-e\"]", "CMD x"]).unwrap();
    assert_eq!(config.shell, list(&["/bin/bash", "-e"]));
    assert_eq!(config.cmd, list(&["/bin/bash", "-e", "x"]));
    refuse(
        "CMD [\"a\", 1]",
        "when using JSON array syntax, arrays must be comprised of strings only",
    );
    refuse("CMD --x a", "unknown flag: --x");
    refuse("SHELL []", "SHELL requires at least one argument");
    refuse("SHELL sh", "SHELL requires the arguments to be in JSON form");
}

#[test]
fn an_entry_point_drops_what_was_inherited() {
    let config = changed(&["ENTRYPOINT [\"e\"]"]).unwrap();
    assert_eq!((config.entrypoint, config.cmd), (list(&["e"]), None));
    let config = changed(&["CMD [\"c\"]", "ENTRYPOINT e"]).unwrap();
    assert_eq!(config.entrypoint, list(&["/bin/sh", "-c", "e"]));
    assert_eq!(config.cmd, list(&["c"]));
}

#[test]
fn variables_follow_the_rules_of_quotes() {
    env("ENV B=c", &["A=old", "B=c"]);
    env("ENV A=new B=$A", &["A=new", "B=old"]);
    env("ENV A new value", &["A=new value"]);
    env("ENV A  \"x  y\"  z", &["A=x  y  z"]);
    env("ENV B=\"x y\" C='$A z' D=a\\ b", &["A=old", "B=x y", "C=$A z", "D=a b"]);
    env("ENV B='a\\' C=\"\\\"\"", &["A=old", "B=a\\", "C=\""]);
    env("ENV B= C=x=y", &["A=old", "B=", "C=x=y"]);
    env("ENV B=a \\\n  # why\n\n  C=d", &["A=old", "B=a", "C=d"]);
    env("ENV B=a\\\nb", &["A=old", "B=ab"]);
    env("ENV B=a \\", &["A=old", "B=a"]);
    env("ENV PATHS=${PATH:-x}:${NO:-y}", &["A=old", "PATHS=/bin:y"]);
    refuse("ENV", "ENV requires at least one argument");
    refuse("ENV A", "ENV must have two arguments");
    refuse("ENV =a", "ENV names can not be blank");
    refuse("ENV a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value");
    refuse(
        "ENV a='b",
        "failed to process \"'b\": unexpected end of statement while looking for matching single-quote",
    );
}

#[test]
fn labels_volumes_and_folders() {
    let config = changed(&["LABEL a=b \"c d\"=\"e $A\"", "LABEL f g h", "LABEL a=z"]).unwrap();
    let labels: Vec<(&str, &str)> =
        config.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("a", "z"), ("c d", "e old"), ("f", "g h")]);
    let config = changed(&["VOLUME /a $PATH", "VOLUME [\"/c d\"]"]).unwrap();
    assert_eq!(config.volumes.into_iter().collect::<Vec<_>>(), ["/a", "/bin", "/c d"]);
    assert_eq!(changed(&["WORKDIR a", "WORKDIR ../b/./c/"]).unwrap().working_dir, "/srv/b/c");
    assert_eq!(changed(&["WORKDIR /x//y/"]).unwrap().working_dir, "/x/y");
    assert_eq!(changed(&["WORKDIR ../../.."]).unwrap().working_dir, "/");
    assert_eq!(changed(&["USER ${A}:1"]).unwrap().user, "old:1");
    refuse("LABEL a", "LABEL must have two arguments");
    refuse("VOLUME", "VOLUME requires at least one argument");
    refuse("VOLUME [\" \"]", "VOLUME specified can not be an empty string");
    refuse("WORKDIR", "WORKDIR requires exactly one argument");
    refuse("WORKDIR $NONE", "cannot normalize nothing");
    refuse("USER", "USER requires exactly one argument");
}

#[test]
fn ports_may_be_ranges() {
    let config = changed(&["EXPOSE 80 53/UDP 7000-7002/sctp $A", "ENV A=1"]);
    assert_eq!(config.unwrap_err().to_string(), "invalid containerPort: old");
    let config = changed(&["EXPOSE 80 53/UDP 7000-7002/sctp 127.0.0.1:8080:81"]).unwrap();
    let ports: Vec<String> = config.exposed_ports.into_iter().collect();
    assert_eq!(ports, ["53/udp", "7000/sctp", "7001/sctp", "7002/sctp", "80/tcp", "81/tcp"]);
    let config = changed(&["ENV P=\"1 2\"", "EXPOSE $P/udp"]).unwrap();
    assert_eq!(config.exposed_ports.into_iter().collect::<Vec<_>>(), ["1/tcp", "2/udp"]);
    refuse("EXPOSE", "EXPOSE requires at least one argument");
    refuse("EXPOSE 5-4", "invalid containerPort: 5-4");
    refuse("EXPOSE 65536", "invalid containerPort: 65536");
    refuse("EXPOSE +1", "invalid containerPort: +1");
    refuse("EXPOSE 1/icmp", "invalid proto: icmp");
    refuse("EXPOSE 1:", "no port specified: 1:<empty>");
    refuse("EXPOSE ${A", "failed to process \"${A\": syntax error: missing '}'");
}

#[test]
fn health_checks_have_flags() {
    let flags = "--interval=5m --timeout=3s --start-period=1s --start-interval=2s --retries=4";
    let check = changed(&[&format!("HEALTHCHECK {flags} CMD [\"a\"]")]).unwrap().healthcheck;
    let expected = Healthcheck {
        test: vec!["CMD".to_owned(), "a".to_owned()],
        interval: 300_000_000_000,
        timeout: 3_000_000_000,
        start_period: 1_000_000_000,
        start_interval: 2_000_000_000,
        retries: 4,
    };
    assert_eq!(check, Some(expected));
    let check =
        changed(&["HEALTHCHECK --interval=0s --timeout= cmd a b"]).unwrap().healthcheck.unwrap();
    assert_eq!(check.test, ["CMD-SHELL", "a b"]);
    assert_eq!(changed(&["HEALTHCHECK none"]).unwrap().healthcheck.unwrap().test, ["NONE"]);
    refuse("HEALTHCHECK", "HEALTHCHECK requires at least one argument");
    refuse("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments");
    refuse("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD");
    refuse("HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD");
    refuse("HEALTHCHECK RUN a", "Unknown type \"RUN\" in HEALTHCHECK (try CMD)");
    refuse("HEALTHCHECK --odd=1 CMD a", "unknown flag: --odd");
    refuse("HEALTHCHECK --retries CMD a", "missing a value on flag: retries");
    refuse("HEALTHCHECK --retries=1 --retries=2 CMD a", "duplicate flag specified: retries");
    refuse("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)");
    refuse("HEALTHCHECK --retries=x CMD a", "strconv.ParseInt: parsing \"x\": invalid syntax");
    refuse("HEALTHCHECK --timeout=1us CMD a", "Interval \"timeout\" cannot be less than 1ms");
    refuse("HEALTHCHECK --timeout=1 CMD a", "time: missing unit in duration \"1\"");
}

#[test]
fn triggers_and_signals() {
    let config = changed(&["ONBUILD run  a $b", "STOPSIGNAL SIGQUIT"]).unwrap();
    assert_eq!(config.on_build, ["run  a $b"]);
    assert_eq!(config.stop_signal, "SIGQUIT");
    refuse("ONBUILD", "ONBUILD requires at least one argument");
    refuse("ONBUILD onbuild RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    refuse("ONBUILD from a", "FROM isn't allowed as an ONBUILD trigger");
    refuse("STOPSIGNAL", "STOPSIGNAL requires exactly one argument");
    refuse("STOPSIGNAL FOO", "invalid signal: FOO");
}

#[test]
fn makes_all_changes_or_none() {
    refuse("RUN a", "RUN is not a valid change command");
    refuse("from a", "from is not a valid change command");
    let mut config = ContainerConfig::default();
    assert!(apply_changes(&mut config, ["USER a", "ENV b"]).is_err());
    assert_eq!(config, ContainerConfig::default());
    apply_changes(&mut config, ["  \n# nothing\n"]).unwrap();
    assert_eq!(config, ContainerConfig::default());
    apply_changes(&mut config, ["USER -- a"]).unwrap();
    assert_eq!(config.user, "a");
}

proptest! {
    #[test]
    fn takes_any_text(
        name in "(CMD|ENV|LABEL|EXPOSE|VOLUME|HEALTHCHECK|WORKDIR|ONBUILD|USER|SHELL)",
        rest in "\\PC{0,30}|[a=\"' \\\\\n\\[\\]$-]{0,20}"
    ) {
        let mut config = ContainerConfig::default();
        if apply_changes(&mut config, [format!("{name} {rest}").as_str()]).is_err() {
            prop_assert_eq!(config, ContainerConfig::default());
        }
    }
}
