//! Who asks is told to the registry that is asked, and to nobody else.

use std::sync::Arc;

use registry::{
    Access, Client, ClientSettings, Credential, CredentialError, Credentials, GivenToken, Mirror,
    RegistryError, RegistryErrorKind, Rule, Rules, Secret, Target, WantedToken,
};

use crate::server::{Asked, Deed, Server, answer, settings};

const MANIFEST: &str = "{\"schemaVersion\":2}";
/// `me:swordfish`.
const BASIC: &str = "Basic bWU6c3dvcmRmaXNo";

struct Always(Credential);

impl Credentials for Always {
    fn find(&self, _: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(Some(self.0.clone()))
    }
}

fn password() -> Credential {
    Credential::Password { user: "me".to_owned(), password: Secret::new("swordfish") }
}

fn known(credential: Credential) -> Client {
    Client::new(ClientSettings { credentials: Arc::new(Always(credential)), ..settings() })
}

fn fetch(client: &Client, server: &Server) -> Result<Vec<u8>, RegistryError> {
    let repository = client.repository(&server.name("a"), Access::Pull)?;
    Ok(repository.document(&Target::Tag("latest".to_owned()))?.bytes)
}

fn challenge(text: impl Into<String>) -> Deed {
    Deed::Answer(401, vec![("WWW-Authenticate", text.into())], Vec::new())
}

/// A registry with a token server in the same place.
fn token_server(answers: &'static str) -> Server {
    Server::new(move |asked, _| match asked.header("authorization") {
        _ if asked.path.starts_with("/token") => answer(200, answers),
        Some("Bearer good") => answer(200, MANIFEST),
        _ => {
            let host = asked.header("host").unwrap();
            challenge(format!(
                "Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"repository:a:pull\""
            ))
        }
    })
}

#[test]
fn nobody_asks_first() {
    let server = Server::new(|asked, _| match asked.header("authorization") {
        None => challenge("Basic realm=\"r\""),
        Some(_) => answer(200, MANIFEST),
    });
    let client = known(password());
    fetch(&client, &server).unwrap();
    fetch(&client, &server).unwrap();
    let sent: Vec<_> =
        server.asked().iter().map(|a| a.header("authorization").map(str::to_owned)).collect();
    // What the host wants is remembered.
    assert_eq!(sent, [None, Some(BASIC.to_owned()), Some(BASIC.to_owned())]);
}

#[test]
fn without_credentials_basic_cannot_be_answered() {
    let server = Server::new(|_, _| challenge("Basic realm=\"r\""));
    let error = fetch(&Client::new(settings()), &server).unwrap_err();
    let expected =
        format!("Get \"http://{}/v2/a/manifests/latest\": no basic auth credentials", server.host);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_loop_of_401_ends() {
    let server = Server::new(|_, _| challenge("Basic realm=\"r\""));
    let error = fetch(&known(password()), &server).unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    assert_eq!(server.asked().len(), 2);
    let loops = token_server("{\"token\":\"bad\"}");
    let error = fetch(&known(password()), &loops).unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    assert_eq!(loops.asked().len(), 3);
}

#[test]
fn a_token_is_asked_for_once() {
    let server = token_server("{\"access_token\":\"good\",\"expires_in\":300}");
    let client = known(password());
    for _ in 0..3 {
        fetch(&client, &server).unwrap();
    }
    let tokens: Vec<Asked> =
        server.asked().into_iter().filter(|asked| asked.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?service=s&scope=repository%3Aa%3Apull&account=me");
    assert_eq!(tokens[0].header("authorization"), Some(BASIC));
}

#[test]
fn a_token_answer_may_be_careless() {
    for text in [
        "{\"token\":\"\",\"access_token\":\"good\"}",
        "{\"token\":\"good\",\"expires_in\":-1}",
        "{\"token\":\"good\",\"access_token\":null,\"expires_in\":0,\"refresh_token\":null}",
        "{\"token\":\"good\",\"expires_in\":9223372036854775807}",
    ] {
        let server = token_server(text);
        let client = known(password());
        fetch(&client, &server).unwrap();
        fetch(&client, &server).unwrap();
        let tokens = server.asked().iter().filter(|asked| asked.path.starts_with("/token")).count();
        assert_eq!(tokens, 1, "{text}");
    }
    let error = fetch(&known(password()), &token_server("{\"token\":\"\"}")).unwrap_err();
    assert!(error.to_string().ends_with("did not include a token in the response"), "{error}");
}

/// A program that keeps credentials and does not work.
struct Broken;

impl Credentials for Broken {
    fn find(&self, _: &str) -> Result<Option<Credential>, CredentialError> {
        let (why, out) = ("exit status 3".to_owned(), String::new());
        Err(CredentialError::Helper { doing: "getting", why, out })
    }
}

#[test]
fn who_cannot_say_who_they_are_is_nobody() {
    let broken = || Client::new(ClientSettings { credentials: Arc::new(Broken), ..settings() });
    let (open, client) = (token_server("{\"token\":\"good\"}"), broken());
    assert_eq!(fetch(&client, &open).unwrap(), MANIFEST.as_bytes());
    let tokens = open.asked();
    let token = tokens.iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert_eq!(token.header("authorization"), None);
    // Where somebody had to be known, the reason that nobody was is told.
    let why = "error getting credentials - err: exit status 3, out: ``";
    let closed = Server::new(|_, _| challenge("Basic realm=\"r\""));
    let error = fetch(&broken(), &closed).unwrap_err();
    assert!(error.to_string().ends_with(&format!("no basic auth credentials: {why}")), "{error}");
    let refusal = r#"{"errors":[{"code":"DENIED","message":"no"}]}"#;
    let tokens = Server::new(move |asked, _| match asked.path.starts_with("/token") {
        true => answer(200, "{\"token\":\"nobody\"}"),
        false if asked.header("authorization").is_some() => answer(403, refusal),
        false => {
            let host = asked.header("host").unwrap();
            challenge(format!("Bearer realm=\"http://{host}/token\",service=\"s\""))
        }
    });
    let error = fetch(&broken(), &tokens).unwrap_err();
    assert_eq!(error.to_string(), format!("denied: no: {why}"));
    assert!(error.has_code("DENIED") && error.kind() == RegistryErrorKind::Denied);
    // What is wrong for another reason is told as it is.
    let gone = token_server("{}");
    let error = fetch(&broken(), &gone).unwrap_err();
    assert!(!error.to_string().contains(why), "{error}");
}

/// Somebody who keeps the password, and gets tokens with it.
struct Keeper;

impl Credentials for Keeper {
    fn find(&self, _: &str) -> Result<Option<Credential>, CredentialError> {
        panic!("whoever gives tokens is not asked for more")
    }

    fn token(&self, wanted: &WantedToken<'_>) -> Result<Option<GivenToken>, CredentialError> {
        assert!(wanted.realm.ends_with("/token"), "{wanted:?}");
        assert_eq!((wanted.service, wanted.scopes), ("s", &["repository:a:pull"][..]));
        Ok(Some(GivenToken { token: Secret::new("good"), holds: None }))
    }
}

#[test]
fn a_token_may_come_from_who_keeps_the_password() {
    let server = token_server("{}");
    let client = Client::new(ClientSettings { credentials: Arc::new(Keeper), ..settings() });
    assert_eq!(fetch(&client, &server).unwrap(), MANIFEST.as_bytes());
    assert!(!server.asked().iter().any(|asked| asked.path.starts_with("/token")));
}

#[test]
fn several_scopes_are_asked_for_at_once() {
    let server = token_server("{\"token\":\"good\"}");
    let client = known(password());
    let repository = client.repository(&server.name("a"), Access::Push).unwrap();
    let repository = repository.mounting_from(&["b".to_owned()]);
    repository.head(&Target::Tag("x".to_owned())).unwrap();
    let token = server.asked().into_iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert!(
        token.path.contains("scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull"),
        "{}",
        token.path
    );
}

#[test]
fn an_identity_token_is_posted() {
    let server = token_server("{\"access_token\":\"good\"}");
    let token = Secret::new("refresh me");
    let client = known(Credential::IdentityToken { user: String::new(), token });
    fetch(&client, &server).unwrap();
    let token = server.asked().into_iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert_eq!((token.method.as_str(), token.path.as_str()), ("POST", "/token"));
    let body = String::from_utf8(token.body).unwrap();
    assert_eq!(
        body,
        "service=s&scope=repository%3Aa%3Apull&client_id=mica&grant_type=refresh_token&refresh_token=refresh%20me"
    );
}

#[test]
fn a_token_server_that_says_nothing_is_an_error_without_secrets() {
    for text in ["{}", "[", "{\"token\":\"\"}", "{\"token\":\"a\\nb\"}"] {
        let server = token_server(text);
        let error = fetch(&known(password()), &server).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("swordfish"), "{error:?}");
    }
}

#[test]
fn a_redirect_takes_no_credentials_along() {
    let other = Server::new(|asked, _| {
        assert_eq!(asked.header("authorization"), None);
        answer(200, MANIFEST)
    });
    let target = format!("http://{}/blob", other.host);
    let server = Server::new(move |asked, _| match asked.header("authorization") {
        None => challenge("Basic realm=\"r\""),
        Some(_) => Deed::Answer(307, vec![("Location", target.clone())], Vec::new()),
    });
    fetch(&known(password()), &server).unwrap();
    let asked = other.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn whoever_a_redirect_leads_to_cannot_ask_who_it_is() {
    let other = Server::new(|_, _| challenge("Basic realm=\"give\""));
    let target = format!("http://{}/blob", other.host);
    let server =
        Server::new(move |_, _| Deed::Answer(307, vec![("Location", target.clone())], Vec::new()));
    assert!(fetch(&known(password()), &server).is_err());
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn an_upload_elsewhere_takes_no_credentials_along() {
    let other = Server::new(|_, _| answer(201, ""));
    let target = format!("http://{}/upload", other.host);
    let server = Server::new(move |asked, _| match asked.header("authorization") {
        None => challenge("Basic realm=\"r\""),
        Some(_) => Deed::Answer(202, vec![("Location", target.clone())], Vec::new()),
    });
    let client = known(password());
    let repository = client.repository(&server.name("a"), Access::Push).unwrap();
    let open = |_: u64| Ok(Box::new(&b"hello"[..]) as Box<dyn std::io::Read>);
    repository.put_blob(&spec::Digest::of(b"hello"), 5, None, &open).unwrap();
    assert_eq!(other.asked().len(), 1);
    assert_eq!(other.asked()[0].header("authorization"), None);
}

#[test]
fn a_refresh_token_is_not_posted_where_a_redirect_leads() {
    let other = Server::new(|_, _| answer(200, "{\"token\":\"good\"}"));
    let target = format!("http://{}/token", other.host);
    let server = Server::new(move |asked, _| match asked.path.as_str() {
        "/token" => Deed::Answer(307, vec![("Location", target.clone())], Vec::new()),
        _ => challenge(format!(
            "Bearer realm=\"http://{}/token\",service=\"s\"",
            asked.header("host").unwrap()
        )),
    });
    let token = Secret::new("refresh me");
    let client = known(Credential::IdentityToken { user: String::new(), token });
    assert!(fetch(&client, &server).is_err());
    assert!(other.asked().is_empty());
}

#[test]
fn login_says_whether_it_is_right() {
    let server = Server::new(|asked, _| match asked.header("authorization") {
        Some(BASIC) => answer(200, "{}"),
        _ => challenge("Basic realm=\"r\""),
    });
    let client = Client::new(settings());
    assert_eq!(client.login(&server.host, &password()).unwrap(), None);
    let wrong = Credential::Password { user: "me".to_owned(), password: Secret::new("x") };
    let error = client.login(&server.host, &wrong).unwrap_err().to_string();
    let expected =
        format!("login attempt to http://{}/v2/ failed with status: 401 Unauthorized", server.host);
    assert_eq!(error, expected);
    // Also where nobody has to log in who only looks.
    let open = Server::new(|asked, _| match asked.header("authorization") {
        Some(BASIC) | None => answer(200, "{}"),
        Some(_) => challenge("Basic realm=\"r\""),
    });
    assert_eq!(client.login(&open.host, &password()).unwrap(), None);
    let error = client.login(&open.host, &wrong).unwrap_err().to_string();
    assert!(error.contains("401 Unauthorized"), "{error}");
    let tokens = Server::new(|asked, _| match asked.header("authorization") {
        _ if asked.path.starts_with("/token") => {
            assert!(asked.path.contains("offline_token=true"), "{}", asked.path);
            answer(200, r#"{"token":"good","refresh_token":"again"}"#)
        }
        Some("Bearer good") => answer(200, "{}"),
        _ => challenge(format!(
            "Bearer realm=\"http://{}/token\",service=\"s\"",
            asked.header("host").unwrap()
        )),
    });
    assert_eq!(client.login(&tokens.host, &password()).unwrap(), Some(Secret::new("again")));
}

#[test]
fn a_mirror_is_asked_first_and_its_failure_is_no_failure() {
    let (good, bad) =
        (Server::new(|_, _| answer(200, MANIFEST)), Server::new(|_, _| answer(404, "{}")));
    let mirror =
        |server: &Server| Mirror { location: format!("{}/m", server.host), ..Mirror::default() };
    let rule = |mirrors| Rule { prefix: "x.invalid".to_owned(), mirrors, ..Rule::default() };
    let rules = Rules { own: vec![rule(vec![mirror(&bad), mirror(&good)])], ..Rules::default() };
    let client = Client::new(ClientSettings { rules, ..settings() });
    let name = spec::Reference::parse("x.invalid/team/app").unwrap();
    let repository = client.repository(&name, Access::Pull).unwrap();
    repository.document(&Target::Tag("1".to_owned())).unwrap();
    assert_eq!(bad.asked().last().unwrap().path, "/v2/m/team/app/manifests/1");
    assert_eq!(good.asked().last().unwrap().path, "/v2/m/team/app/manifests/1");
}
