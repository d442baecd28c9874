use super::*;

/// A helper that fails the first time.
#[derive(Default)]
struct Once(Mutex<bool>);

impl Credentials for Once {
    fn find(&self, _: &str) -> Result<Option<Credential>, CredentialError> {
        if std::mem::replace(&mut *lock(&self.0), true) {
            return Ok(Some(Credential::RegistryToken(Secret::new("t"))));
        }
        let (why, out) = ("exit status 3".to_owned(), String::new());
        Err(CredentialError::Helper { doing: "getting", why, out })
    }
}

#[test]
fn a_helper_that_failed_is_asked_again_later() {
    let auth = Auth::new(Arc::new(Once::default()));
    let place = Rules::default().place_of_host("r.org");
    assert_eq!(auth.find(&place).unwrap(), None);
    assert_eq!(auth.find(&place).unwrap(), None);
    let now = Instant::now();
    let Some(before) = now.checked_sub(SILENCE) else {
        return testkit::skip("needs a machine that has run for a minute");
    };
    for found in lock(&auth.found).values_mut() {
        let Found::Silence(_, since) = found else { panic!("it failed") };
        *since = before;
    }
    assert!(auth.find(&place).unwrap().is_some());
}

#[test]
fn what_a_file_gives_for_a_registry_is_not_sent_in_the_clear() {
    let limits = crate::client::Limits::default();
    let http = Http::new(limits, Default::default(), Vec::new(), None, String::new());
    let rules = Rules::default();
    let headers = vec![("x-key".to_owned(), "secret".to_owned())];
    let own =
        |security| Place { headers: headers.clone(), security, ..rules.place_of_host("r.org") };
    let check = |security, realm: &str, kept: bool| {
        let place = own(security);
        let server = TokenServer { http: &http, rules: &rules, place: &place, realm, service: "" };
        let asked = server.place(false).unwrap();
        assert_eq!(!asked.headers.is_empty(), kept, "{security:?} {realm}");
    };
    check(Security::Checked, "https://R.org/token", true);
    check(Security::Checked, "http://r.org/token", false);
    check(Security::Unverified, "http://r.org/token", false);
    check(Security::Plain, "http://r.org/token", true);
    check(Security::Plain, "https://r.org/token", true);
    check(Security::Checked, "https://other.org/token", false);
}

#[test]
fn headers_hide_themselves() {
    let password = Secret::new("open sesame");
    let header = basic(&Credential::Password { user: "ali".to_owned(), password }).unwrap();
    assert_eq!(header.to_str().unwrap(), "Basic YWxpOm9wZW4gc2VzYW1l");
    assert_eq!(format!("{header:?}"), "Sensitive");
}

/// A server that gives whoever asks a token for a day.
fn gives_tokens() -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let realm = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let body = "{\"token\":\"t\",\"expires_in\":86400}";
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len());
            let answer = format!("{head}Connection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    realm
}

#[test]
fn nobodys_token_ends_when_somebody_may_be_named() {
    let limits = crate::client::Limits::default();
    let http = Http::new(limits, Default::default(), Vec::new(), None, String::new());
    let (rules, realm) = (Rules::default(), gives_tokens());
    let place = rules.place_of_host("localhost");
    let check = |credentials: Arc<dyn Credentials>, range: std::ops::Range<u64>| {
        let auth = Auth::new(credentials);
        let (realm, service, scope) = (realm.clone(), "s".to_owned(), None);
        let way = Challenge::Bearer { realm, service, scope };
        auth.header(&http, &rules, &place, &way, &[]).unwrap().unwrap();
        assert_eq!(lock(&auth.tokens).len(), 1);
        for token in lock(&auth.tokens).values() {
            let left = token.until.saturating_duration_since(Instant::now()).as_secs();
            assert!(range.contains(&left), "{left}");
        }
    };
    check(Arc::new(Once::default()), 1..SILENCE.as_secs() + 1);
    check(Arc::new(crate::secret::Anonymous), 80_000..86_400);
}
