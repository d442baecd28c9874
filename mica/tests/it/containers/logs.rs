//! What containers print, where it is to go.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use crate::compat::registry::certificate;
use crate::need_programs;
use crate::support::Run;

use super::support::{Root, eventually};

#[test]
fn labels_and_variables_are_logged_by_name_and_by_expression() {
    let Some(root) = Root::new() else { return };
    let options = "--label tier=back --label owner=me -e COLOR=red -e SHAPE=round \
                   --log-opt labels=tier --log-opt labels-regex=^own --log-opt env-regex=^S";
    let id = root.ok(&format!("create --network none {options} bb echo hi"));
    root.ok(&format!("start -a {id}"));
    let log = root.root().join("containers").join(&id).join(format!("{id}-json.log"));
    let line: serde_json::Value = serde_json::from_slice(&fs::read(log).unwrap()).unwrap();
    let attributes = serde_json::json!({ "tier": "back", "owner": "me", "SHAPE": "round" });
    assert_eq!(line["attrs"], attributes);
    let details = root.ok(&format!("logs --details {id}"));
    assert!(details.starts_with("SHAPE=round,owner=me,tier=back hi"), "{details}");
    for (options, words) in [
        ("--log-opt env-regex=(", "invalid log opt env-regex=(: "),
        ("--log-driver local --log-opt env=A", "unknown log opt 'env' for log driver local"),
        ("--log-opt tags=x", "unknown log opt 'tags' for json-file log driver"),
        ("--log-driver syslog --log-opt max-size=1m", "unknown log opt 'max-size' for syslog"),
    ] {
        root.run(&format!("create {options} bb true")).complains(1, words);
    }
}

/// Something that listens with TLS and writes down what it hears; ended with the test.
struct Daemon(Child);

impl Daemon {
    fn new(root: &Root, port: u16) -> Daemon {
        let heard = File::create(root.path("heard")).unwrap();
        let mut command = root.program("openssl");
        command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
        command.args(["-cert", "one.crt", "-key", "one.key", "-CAfile", "one-ca.crt"]);
        let child = command.stdin(Stdio::piped()).stdout(heard).stderr(Stdio::null()).spawn();
        Daemon(child.unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_daemon_behind_tls_is_told_every_line() {
    need_programs!("openssl");
    let Some(root) = Root::new() else { return };
    certificate(&root, "one");
    certificate(&root, "other");
    let port = testkit::free_port();
    let _daemon = Daemon::new(&root, port);
    let here = |name: &str| root.path(name).display().to_string();
    let run = |options: String, words: &str| -> Run {
        let to = format!("--log-driver syslog --log-opt syslog-address=tcp+tls://127.0.0.1:{port}");
        root.run(&format!("run --rm --network none {to} {options} bb echo {words}"))
    };
    let believed = format!("--log-opt syslog-tls-ca-cert={}", here("one-ca.crt"));
    eventually("the daemon listens", || run(believed.clone(), "first words").code == 0);
    let own = format!(
        "{believed} --log-opt syslog-tls-cert={} --log-opt syslog-tls-key={} --log-opt tag=box",
        here("one.crt"),
        here("one.key")
    );
    assert_eq!(run(own, "second words").code, 0);
    assert_eq!(run("--log-opt syslog-tls-skip-verify=1".to_owned(), "third words").code, 0);
    let heard = || String::from_utf8_lossy(&fs::read(root.path("heard")).unwrap()).into_owned();
    eventually("all is heard", || heard().contains("third words"));
    let lines = heard();
    assert!(lines.contains("]: first words\n") && lines.contains(" box["), "{lines}");
    for options in [String::new(), format!("--log-opt syslog-tls-ca-cert={}", here("other-ca.crt"))]
    {
        let run = run(options, "never said");
        run.complains(125, "failed to initialize logging driver");
        assert!(run.err.contains("certificate"), "{run}");
    }
    assert!(!heard().contains("never"));
}
