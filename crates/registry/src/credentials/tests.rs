use std::os::unix::fs::PermissionsExt;

use super::*;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn settings(&self) -> StoreSettings {
        let path = |name: &str| self.folder.path().join(name);
        StoreSettings {
            docker_config: path("docker/config.json"),
            inline: None,
            others: vec![path("none"), path("run/auth.json"), path("auth.json")],
            vault: path("config/credentials.json"),
            key: path("data/credentials.key"),
            plain: false,
            path: Some(format!("{}:/usr/bin:/bin", self.folder.path().display())),
        }
    }

    fn store(&self) -> CredentialStore {
        CredentialStore::new(self.settings())
    }

    fn docker(&self, text: &str) {
        let path = self.settings().docker_config;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: Secret::new(password) }
}

#[test]
fn what_is_kept_is_found_and_cannot_be_read() {
    let place = Place::new();
    let (store, settings) = (place.store(), place.settings());
    assert_eq!(store.find("a.org").unwrap(), None);
    let kept = store.store("a.org", &password("me", "swordfish")).unwrap();
    assert_eq!(kept, Kept::Encrypted(settings.vault.clone()));
    let token = Credential::IdentityToken { user: "me".into(), token: Secret::new("refresh") };
    store.store("b.org", &token).unwrap();
    assert_eq!(store.find("a.org").unwrap(), Some(password("me", "swordfish")));
    assert_eq!(store.find("b.org").unwrap(), Some(token));
    let text = fs::read_to_string(&settings.vault).unwrap();
    assert!(
        !text.contains("swordfish") && !text.contains("c3dvcmRmaXNo") && !text.contains("a.org")
    );
    for file in [&settings.vault, &settings.key] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let rows = [("a.org", "me"), ("b.org", "me")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(store.list().unwrap(), rows);
    assert!(store.erase("a.org").unwrap() && !store.erase("a.org").unwrap());
    assert_eq!(store.find("a.org").unwrap(), None);
}

#[test]
fn a_key_that_is_wrong_or_open_to_others_is_an_error() {
    let place = Place::new();
    let (store, settings) = (place.store(), place.settings());
    store.store("a.org", &password("me", "swordfish")).unwrap();
    fs::set_permissions(&settings.key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(store.find("a.org"), Err(CredentialError::OpenKey { .. })));
    fs::set_permissions(&settings.key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&settings.key, [7; 32]).unwrap();
    assert!(matches!(store.find("a.org"), Err(CredentialError::WrongKey { .. })));
    assert!(store.erase("a.org").unwrap());
    assert_eq!(store.find("a.org").unwrap(), None);
}

#[test]
fn logging_out_without_a_login_makes_nothing() {
    let place = Place::new();
    assert!(!place.store().erase("a.org").unwrap());
    assert!(!place.settings().key.exists() && !place.settings().docker_config.exists());
}

#[test]
fn dockers_logins_work() {
    let place = Place::new();
    place.docker(
        r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6cGE6c3M="},
        "https://b.org/v2/":{"auth":"eDo=","identitytoken":"t"},"c.org":{"registrytoken":"r"}},
        "psFormat":"kept"}"#,
    );
    let store = place.store();
    let hub = "https://index.docker.io/v1/";
    assert_eq!(store.find(hub).unwrap(), Some(password("me", "pa:ss")));
    let token = Credential::IdentityToken { user: "x".into(), token: Secret::new("t") };
    assert_eq!(store.find("b.org").unwrap(), Some(token));
    assert_eq!(store.find("c.org").unwrap(), Some(Credential::RegistryToken(Secret::new("r"))));
    assert!(store.erase(hub).unwrap());
    assert_eq!(store.find(hub).unwrap(), None);
    let text = fs::read_to_string(place.settings().docker_config).unwrap();
    assert!(text.contains("\n\t\"psFormat\": \"kept\""), "{text}");
}

#[test]
fn plain_only_when_asked() {
    let place = Place::new();
    let store = CredentialStore::new(StoreSettings { plain: true, ..place.settings() });
    let kept = store.store("a.org", &password("me", "pa:ss")).unwrap();
    assert_eq!(kept, Kept::Plain(place.settings().docker_config));
    let text = fs::read_to_string(place.settings().docker_config).unwrap();
    assert_eq!(
        text,
        "{\n\t\"auths\": {\n\t\t\"a.org\": {\n\t\t\t\"auth\": \"bWU6cGE6c3M=\"\n\t\t}\n\t}\n}"
    );
    assert_eq!(store.find("a.org").unwrap(), Some(password("me", "pa:ss")));
}

#[test]
fn the_environment_goes_first() {
    let place = Place::new();
    place.docker(r#"{"auths":{"a.org":{"auth":"bWU6cGE6c3M="}}}"#);
    let inline = Some(Secret::new(r#"{"auths":{"a.org":{"auth":"eW91Ong="}}}"#));
    let store = CredentialStore::new(StoreSettings { inline, ..place.settings() });
    assert_eq!(store.find("a.org").unwrap(), Some(password("you", "x")));
}

#[test]
fn helpers_are_asked() {
    let place = Place::new();
    let script = place.folder.path().join("docker-credential-test");
    let data = place.folder.path().join("kept");
    let text = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {0};;\nerase) cat > /dev/null; rm -f {0};;\n\
         list) echo '{{\"a.org\":\"me\"}}';;\nget) cat > /dev/null; [ -f {0} ] && exec cat {0}\n\
         echo 'credentials not found in native keychain'; exit 1;;\nesac\n",
        data.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    place.docker(r#"{"credHelpers":{"a.org":"test","b.org":"none"}}"#);
    let store = place.store();
    assert_eq!(store.find("a.org").unwrap(), None);
    let kept = store.store("a.org", &password("me", "secret")).unwrap();
    assert_eq!(kept, Kept::Helper("test".to_owned()));
    assert_eq!(store.find("a.org").unwrap(), Some(password("me", "secret")));
    assert!(!place.settings().vault.exists());
    assert!(store.erase("a.org").unwrap() && !data.exists());
    let error = store.find("b.org").unwrap_err().to_string();
    assert!(error.contains("docker-credential-none\": executable file not found"), "{error}");
}

#[test]
fn a_helper_that_fails_hides_nobody_else() {
    let place = Place::new();
    let script = place.folder.path().join("docker-credential-broken");
    fs::write(&script, "#!/bin/sh\necho oh; exit 3\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let store = place.store();
    store.store("a.org", &password("me", "secret")).unwrap();
    place.docker(r#"{"credsStore":"broken","auths":{"b.org":{"auth":"bWU6cGE6c3M="}}}"#);
    assert_eq!(store.find("a.org").unwrap(), Some(password("me", "secret")));
    assert_eq!(store.find("b.org").unwrap(), Some(password("me", "pa:ss")));
    let error = store.find("c.org").unwrap_err().to_string();
    assert_eq!(error, "error getting credentials - err: exit status 3, out: `oh`");
    let error = store.store("c.org", &password("me", "secret")).unwrap_err().to_string();
    assert_eq!(error, "error storing credentials - err: exit status 3, out: `oh`");
    // All that can be forgotten is.
    for server in ["a.org", "b.org"] {
        let error = store.erase(server).unwrap_err().to_string();
        assert_eq!(error, "error erasing credentials - err: exit status 3, out: `oh`");
        assert!(store.find(server).is_err(), "{server}");
    }
}

#[test]
fn a_damaged_key_does_not_stay_for_ever() {
    let place = Place::new();
    let (store, settings) = (place.store(), place.settings());
    for broken in [&b"short"[..], &[7; 33], b""] {
        store.store("a.org", &password("me", "secret")).unwrap();
        fs::write(&settings.key, broken).unwrap();
        let error = store.find("a.org").unwrap_err();
        assert!(matches!(error, CredentialError::WrongKey { .. }), "{error}");
        assert!(store.store("b.org", &password("me", "secret")).is_err());
        assert!(store.erase("a.org").unwrap());
        assert_eq!(store.find("a.org").unwrap(), None);
    }
    // What was sealed with it is gone already.
    store.store("a.org", &password("me", "secret")).unwrap();
    fs::remove_file(&settings.vault).unwrap();
    fs::write(&settings.key, "short").unwrap();
    store.store("b.org", &password("me", "secret")).unwrap();
    assert_eq!(store.find("b.org").unwrap(), Some(password("me", "secret")));
}

#[test]
fn errors_do_not_quote_secrets() {
    let place = Place::new();
    place.docker(r#"{"auths":{"a.org":{"auth":"hunter2"#);
    let why = config_trouble(&place.settings().docker_config).unwrap();
    assert!(!why.contains("hunter2"), "{why}");
    let inline = Some(Secret::new(r#"{"auths":{"a.org":{"auth":"hunter2"#));
    let store = CredentialStore::new(StoreSettings { inline, ..place.settings() });
    let error = store.find("a.org").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn logins_at_once_are_all_kept() {
    for round in 0..20 {
        let (place, plain) = (Place::new(), round % 2 == 1);
        let settings = StoreSettings { plain, ..place.settings() };
        if !plain {
            // A key that is none is taken away by one, and made anew for all.
            fs::create_dir_all(settings.key.parent().unwrap()).unwrap();
            fs::write(&settings.key, "short").unwrap();
            fs::set_permissions(&settings.key, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let servers: Vec<String> = (0..8).map(|at| format!("r{at}.org")).collect();
        std::thread::scope(|scope| {
            for server in &servers {
                let store = CredentialStore::new(settings.clone());
                scope.spawn(move || store.store(server, &password("me", server)).unwrap());
            }
        });
        let store = CredentialStore::new(settings);
        for server in &servers {
            assert_eq!(store.find(server).unwrap(), Some(password("me", server)), "{round}");
        }
    }
}

#[test]
fn a_configuration_that_is_none_knows_nobody() {
    let place = Place::new();
    let path = place.settings().docker_config;
    for (text, why) in [
        ("{bad", "no JSON object (line 1, column 2)"),
        ("[]", "no JSON object (line 1, column 0)"),
        (r#"{"auths":{"a.org":{"auth":"?"}}}"#, "an `auth` is no base64"),
        (r#"{"auths":{"a.org":{"auth":"bWU="}}}"#, "an `auth` has no colon"),
    ] {
        place.docker(text);
        assert_eq!(place.store().find("a.org").unwrap(), None, "{text}");
        assert_eq!(config_trouble(&path).as_deref(), Some(why), "{text}");
        assert!(!place.store().erase("b.org").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    for text in ["", " ", "{}", r#"{"auths":{"a.org":{}}}"#] {
        place.docker(text);
        assert_eq!(config_trouble(&path), None, "{text}");
    }
    // Whoever logs in makes it one.
    place.docker("{bad");
    let plain = CredentialStore::new(StoreSettings { plain: true, ..place.settings() });
    plain.store("a.org", &password("me", "pa:ss")).unwrap();
    assert_eq!(plain.find("a.org").unwrap(), Some(password("me", "pa:ss")));
    assert_eq!(config_trouble(&place.folder.path().join("none")), None);
}

#[test]
fn logins_of_other_tools_go_last() {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        let path = place.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let me = r#"{"auth":"bWU6cGE6c3M="}"#;
    let you = r#"{"auth":"eW91Ong="}"#;
    let text = r#"{"auths":{"a.org":ME,"docker.io":ME,"c.org/team":ME,"https://d.org/v2/":ME}}"#;
    write("run/auth.json", &text.replace("ME", me));
    write("auth.json", &r#"{"auths":{"a.org":YOU,"b.org":YOU}}"#.replace("YOU", you));
    let find = |server: &str| place.store().find(server).unwrap();
    let (me, other) = (Some(password("me", "pa:ss")), Some(password("you", "x")));
    assert_eq!((find("a.org"), find("b.org")), (me.clone(), other.clone()));
    assert_eq!((find("https://index.docker.io/v1/"), find("d.org")), (me.clone(), me));
    // What is for one repository is not shown to all of its host.
    assert_eq!((find("c.org"), find("e.org")), (None, None));
    place.docker(r#"{"auths":{"a.org":{"auth":"eW91Ong="}}}"#);
    assert_eq!(find("a.org"), other);
    write("run/auth.json", "{bad");
    assert_eq!(find("d.org"), None);
}
