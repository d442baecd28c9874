//! `create` elsewhere, and the first half of `run`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use client::{Client, Request};
use engine::{CreateContainer, Credential};
use serde_json::{Value, json};
use spec::Reference;

use super::images::platform_document;
use super::transfer;
use crate::commands::create::{IdFile, request, warn_of_names};
use crate::commands::foreground::ENGINE;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    let request = request(context.matches(), context.environment())?;
    let id = make(context, request)?;
    context.ui.line(&id);
    Ok(0)
}

/// Makes a container, its image pulled first where that is wanted or needed, and gives its id.
pub(super) fn make(context: &Context, mut request: CreateContainer) -> Result<String, Failure> {
    if request.config.tty {
        request.host.console_size = context.ui.window();
    }
    warn_of_names(context, &request.host);
    let file = IdFile::of(&request.host)?;
    let created = create(context, &request)?;
    for warning in created["Warnings"].as_array().into_iter().flatten() {
        context.ui.warn(&format!("WARNING: {}", warning.as_str().unwrap_or_default()));
    }
    let id = created["Id"].as_str().unwrap_or_default().to_owned();
    file.write(&id)?;
    Ok(id)
}

fn create(context: &Context, request: &CreateContainer) -> Result<Value, Failure> {
    let (client, matches) = (context.far()?, context.matches());
    let (image, quiet) = (&request.config.image, matches.flag("quiet"));
    let platform = request.platform.as_ref().map(|platform| platform.to_string());
    let pull = || transfer::fetch(context, image, platform.as_deref(), quiet);
    let when = matches.string("pull").unwrap_or("missing");
    match when {
        "always" => pull()?,
        "missing" | "never" | "" => {}
        other => {
            let words = format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            );
            return Err(Failure::new(words).code(ENGINE));
        }
    }
    match client.call::<Value>(asked(request, platform.as_deref())?) {
        // Others may be missing too: networks, volumes' containers.
        Err(error)
            if error.is_missing()
                && matches!(when, "missing" | "")
                && !has_image(client, image, platform.as_deref())? =>
        {
            if !quiet {
                let name = Reference::parse(image)
                    .map_or_else(|_| image.clone(), |name| name.with_default_tag().familiar());
                context.ui.warn(&format!("Unable to find image '{name}' locally"));
            }
            pull()?;
            Ok(client.call(asked(request, platform.as_deref())?)?)
        }
        created => Ok(created?),
    }
}

/// Whether the engine has an image of this name that runs where it shall.
fn has_image(client: &Client, image: &str, platform: Option<&str>) -> Result<bool, Failure> {
    let request = Request::get(format!("/images/{image}/json"))
        .given("platform", platform_document(platform)?.as_deref());
    match client.call::<Value>(request) {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn asked(request: &CreateContainer, platform: Option<&str>) -> Result<Request<'static>, Failure> {
    let wrong = |error: serde_json::Error| Failure::new(error.to_string());
    let mut document = serde_json::to_value(&request.config).map_err(wrong)?;
    document["HostConfig"] = serde_json::to_value(&request.host).map_err(wrong)?;
    if document["HostConfig"]["NetworkMode"] == "" {
        document["HostConfig"]["NetworkMode"] = json!("default");
    }
    let networks = serde_json::to_value(&request.networks).map_err(wrong)?;
    document["NetworkingConfig"] = json!({ "EndpointsConfig": networks });
    Ok(Request::post("/containers/create")
        .given("name", request.name.as_deref())
        .given("platform", platform)
        .json(document))
}

/// Who one is to the registry that a name leads to, as engines are told it.
pub(super) fn registry_auth(context: &Context, name: &Reference) -> Result<String, Failure> {
    let server = match name.domain() {
        "docker.io" => None,
        domain => Some(domain),
    };
    let known = context.settings()?.registry.known(server)?;
    Ok(URL_SAFE.encode(auth_document(server, known).to_string()))
}

/// A login in the form in which it is sent.
pub(super) fn auth_document(server: Option<&str>, known: Option<Credential>) -> Value {
    let server = server.unwrap_or("https://index.docker.io/v1/");
    match known {
        None => json!({}),
        Some(Credential::Password { user, password }) => json!({
            "username": user, "password": password.expose(), "serveraddress": server,
        }),
        Some(Credential::IdentityToken { user, token }) => json!({
            "username": user, "identitytoken": token.expose(), "serveraddress": server,
        }),
        Some(Credential::RegistryToken(token)) => {
            json!({ "registrytoken": token.expose(), "serveraddress": server })
        }
    }
}

/// A container as the engine tells of it.
pub(super) fn look(client: &Client, name: &str) -> Result<Value, Failure> {
    Ok(client.call(Request::get(format!("/containers/{name}/json")))?)
}
