use super::*;

#[test]
fn whoever_gives_other_certificates_is_asked_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        path
    };
    let http = Http::new(Limits::default(), Proxies::default(), Vec::new(), None, String::new());
    let place = crate::rules::Rules::default().place_of_host("r.org");
    for name in ["a.crt", "b.crt", "a.crt"] {
        let place = Place { authorities: vec![file(name)], ..place.clone() };
        http.agent(&place, true).unwrap();
    }
    assert_eq!(lock(&http.agents).len(), 2);
    // Nobody has a certificate where nothing is encrypted.
    for name in ["a.crt", "b.crt"] {
        let place = Place { authorities: vec![file(name)], ..place.clone() };
        http.agent(&place, false).unwrap();
    }
    assert_eq!(lock(&http.agents).len(), 3);
}

#[test]
fn what_must_speak_tls_is_asked_for_nothing_else() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let http = Http::new(Limits::default(), Proxies::default(), Vec::new(), None, String::new());
    let place = crate::rules::Rules::default().place_of_host(&host);
    let place = Place { security: Security::Unverified, ..place };
    // Nobody who answers is asked: a host that hangs up is not taken for one of plain HTTP.
    drop(listener);
    assert_eq!(http.scheme(&place).unwrap(), "https");
    assert_eq!(http.stranger("https://b.org/", &place).unwrap().security, Security::Unverified);
    assert_eq!(http.stranger("http://b.org/", &place).unwrap().security, Security::Plain);
}

#[test]
fn waits_as_long_as_it_is_told() {
    let headers = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        retry_after(&headers)
    };
    assert_eq!(headers("7"), Some(Duration::from_secs(7)));
    assert_eq!(headers("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    assert_eq!(headers("soon"), None);
    assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
}
