//! Logins that are no longer right, and helpers that do not work.

use std::fs;

use serde_json::json;

use super::hub::Hub;
use super::registry::HTPASSWD;
use crate::support::Mica;

/// A registry that wants to know who asks.
fn closed(mica: &Mica) -> Hub {
    mica.file("htpasswd", HTPASSWD);
    Hub::start(mica, &["--htpasswd", "htpasswd"])
}

#[test]
fn a_login_that_is_no_longer_right_is_asked_for_again() {
    let mica = Mica::new();
    let hub = closed(&mica);
    let host = &hub.host;
    let login = format!("login -u me --password-stdin {host}");
    mica.run_with(&login, b"swordfish").prints("Login Succeeded\n");
    let known = "Authenticating with existing credentials... [Username: me]\n\n Info -> To login \
        with a different account, run 'docker logout' followed by 'docker login'\n\n\n";
    let run = mica.run(&format!("login {host}"));
    assert_eq!((run.code, &*run.out, &*run.err), (0, "Login Succeeded\n", known), "{run}");
    // Nobody is called `me` there any more.
    mica.file("htpasswd", format!("not-{HTPASSWD}"));
    let run = mica.run(&format!("login {host}"));
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{run}");
    let err = "Stored credentials invalid or expired\n\
        Error: Cannot perform an interactive login from a non TTY device\n";
    assert_eq!(run.err, format!("{known}{err}"));
}

#[test]
fn a_configuration_that_is_none_is_told_and_no_more() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let docker = mica.work().parent().unwrap().join("home/.docker");
    fs::create_dir_all(&docker).unwrap();
    fs::write(docker.join("config.json"), "{bad").unwrap();
    let warning = format!(
        "WARNING: Error parsing config file ({}): no JSON object (line 1, column 2)\n",
        docker.join("config.json").display()
    );
    let name = hub.name("app:1");
    for line in ["images -q", &format!("pull -q {name}"), &format!("push -q {name}")] {
        if line.starts_with("pull") {
            fs::remove_file(docker.join("config.json")).unwrap();
            mica.import(&name);
            mica.ok(&format!("push -q {name}"));
            fs::write(docker.join("config.json"), "{bad").unwrap();
        }
        let run = mica.run(line);
        assert_eq!((run.code, &*run.err), (0, &*warning), "{line}: {run}");
    }
}

#[test]
fn logins_of_podman_and_skopeo_count() {
    let mica = Mica::new();
    let hub = closed(&mica);
    let name = hub.name("app:1");
    mica.import(&name);
    mica.run(&format!("push -q {name}")).complains(1, "no basic auth credentials");
    let auths = json!({ "auths": { hub.host.clone(): { "auth": "bWU6c3dvcmRmaXNo" } } });
    let file = mica.file("auth.json", auths.to_string());
    let mica = mica.with("REGISTRY_AUTH_FILE", file.to_str().unwrap());
    mica.ok(&format!("push -q {name}"));
}

#[test]
fn a_helper_that_is_missing_is_told_and_no_more() {
    let mica = Mica::new();
    let hub = closed(&mica);
    let docker = mica.work().parent().unwrap().join("home/.docker");
    fs::create_dir_all(&docker).unwrap();
    fs::write(docker.join("config.json"), json!({ "credsStore": "nosuch" }).to_string()).unwrap();
    let why = "exec: \"docker-credential-nosuch\": executable file not found in $PATH, out: ``";
    let login = format!("login -u me --password-stdin {}", hub.host);
    let not_kept = format!("Error saving credentials: error storing credentials - err: {why}\n");
    mica.run_with(&login, b"swordfish").fails(1, &not_kept);
    let run = mica.run(&format!("logout {}", hub.host));
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(run.out, format!("Removing login credentials for {}\n", hub.host));
    let warning = format!(
        "WARNING: could not erase credentials:\n{}: error erasing credentials - err: {why}\n",
        hub.host
    );
    assert_eq!(run.err, warning);
    // Where somebody must be known, it is told why nobody is.
    let told = format!("no basic auth credentials: error getting credentials - err: {why}\n");
    let name = hub.name("app:1");
    mica.file("Dockerfile", format!("FROM {name}\n"));
    for command in [
        format!("pull {name}"),
        format!("buildx imagetools inspect {name}"),
        format!("remote ls {}", hub.name("app")),
        "build .".to_owned(),
    ] {
        mica.run(&command).complains(1, &told);
    }
}

#[test]
fn what_is_given_must_not_be_empty() {
    let mica = Mica::new();
    mica.run("login --username= -p x localhost:1").fails(1, "username is empty\n");
    mica.run("login -u me --password= localhost:1").fails(1, "password is empty\n");
}
