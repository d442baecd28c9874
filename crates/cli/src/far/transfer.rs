//! `pull`, `push`, `load` and `save` elsewhere, and the documents in which engines tell how far they
//! are.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use client::{Body, Request};
use serde_json::Value;
use spec::Reference;

use super::create::registry_auth;
use super::images::platform_document;
use super::said;
use crate::commands::tar_out::write_out;
use crate::commands::{pull, push, reason};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::Ui;

/// How far an engine is, as it tells it: a document a line.
pub(super) struct Told<'a> {
    ui: &'a Ui,
    quiet: bool,
    /// Leaves standard output to whatever it is done for.
    aside: bool,
    /// What is shown of each thing on a terminal, a line each.
    lines: Vec<String>,
    /// What an engine says beside: ids of images.
    pub(super) aside_documents: Vec<Value>,
    /// What was said last to somebody who wants to hear nothing: an engine that is asked to be quiet
    /// says an id so.
    pub(super) unheard: String,
}

impl<'a> Told<'a> {
    pub(super) fn new(ui: &'a Ui, quiet: bool, aside: bool) -> Told<'a> {
        Told {
            ui,
            quiet,
            aside,
            lines: Vec::new(),
            aside_documents: Vec::new(),
            unheard: String::new(),
        }
    }

    /// Shows all of it. An engine that fails on the way says so in its last document.
    pub(super) fn show(&mut self, body: Body) -> Result<(), Failure> {
        said::each(body, |told: Value| self.tell(&told))
    }

    fn tell(&mut self, told: &Value) -> Result<(), Failure> {
        let text = |name: &str| told[name].as_str().unwrap_or_default();
        if let Some(message) = told["errorDetail"]["message"].as_str().or(told["error"].as_str()) {
            let code = told["errorDetail"]["code"].as_u64().unwrap_or(1);
            let code = u8::try_from(code).ok().filter(|code| *code > 0);
            return Err(Failure::new(message).code(code.unwrap_or(1)));
        }
        if !told["aux"].is_null() {
            self.aside_documents.push(told["aux"].clone());
            return Ok(());
        }
        if self.quiet {
            if let Some(said) = told["stream"].as_str() {
                said.clone_into(&mut self.unheard);
            }
            return Ok(());
        }
        if told["stream"].is_string() {
            self.print(text("stream"));
            return Ok(());
        }
        let (id, progress) = (text("id"), text("progress"));
        let terminal = self.ui.is_terminal() && !self.aside;
        let line = match (id, terminal && !progress.is_empty()) {
            ("", _) => text("status").to_owned(),
            (id, false) => format!("{id}: {}", text("status")),
            (id, true) => format!("{id}: {} {progress}", text("status")),
        };
        match (id, terminal) {
            ("", _) => self.line(&line),
            // A log hears what has happened, not how far it is.
            (_, false) if !progress.is_empty() => {}
            (_, false) => self.line(&line),
            (id, true) => self.renew(id.to_owned(), &line),
        }
        Ok(())
    }

    fn print(&self, text: &str) {
        match self.aside {
            true => self.ui.print_error(text),
            false => self.ui.bytes_now(text.as_bytes()),
        }
    }

    fn line(&mut self, text: &str) {
        // Lines above stay as they are from now on.
        self.lines.clear();
        self.print(&format!("{text}\n"));
    }

    /// Writes the line of a thing anew, where it stands.
    fn renew(&mut self, id: String, line: &str) {
        let up = match self.lines.iter().position(|known| *known == id) {
            Some(place) => self.lines.len() - place,
            None => {
                self.lines.push(id);
                self.print("\n");
                1
            }
        };
        self.print(&format!("\x1b[{up}A\r\x1b[2K{line}\r\x1b[{up}B"));
    }
}

/// What is asked to pull.
fn request(
    context: &Context,
    name: &Reference,
    platform: Option<&str>,
) -> Result<Request<'static>, Failure> {
    let tag = name.digest().map(|digest| digest.to_string()).or(name.tag().map(str::to_owned));
    Ok(Request::post("/images/create")
        .with("fromImage", name.familiar_name())
        .given("tag", tag.as_deref())
        .given("platform", platform)
        .header("X-Registry-Auth", registry_auth(context, name)?))
}

/// Pulls an image that a command needs. Nothing of this is on standard output.
pub(super) fn fetch(
    context: &Context,
    image: &str,
    platform: Option<&str>,
    quiet: bool,
) -> Result<(), Failure> {
    let name = pull::reference(image)?;
    let name = if name.digest().is_some() { name } else { name.with_default_tag() };
    let body = context.far()?.send(request(context, &name, platform)?)?.body;
    Told::new(&context.ui, quiet, true).show(body)
}

pub(super) fn pull(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let name = pull::asked(context)?;
    let platform = matches.string("platform").filter(|text| !text.is_empty());
    let body = context.far()?.send(request(context, &name, platform)?)?.body;
    Told::new(ui, matches.flag("quiet"), false).show(body)?;
    ui.line(&name.to_string());
    Ok(0)
}

pub(super) fn push(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let quiet = matches.flag("quiet");
    if matches.given("sign-key") {
        return Err(Failure::new("error: --sign-key signs what this machine pushes itself"));
    }
    let own = ["compression-format", "compression-level", "force-compression"];
    if let Some(flag) = own.into_iter().find(|flag| matches.given(flag)) {
        return Err(Failure::new(format!("error: docker's API has no --{flag}")));
    }
    let name = push::asked(context)?;
    let platform = matches.string("platform").filter(|text| !text.is_empty());
    let request = Request::post(format!("/images/{}/push", name.familiar_name()))
        .given("tag", name.tag())
        .given("platform", platform_document(platform)?.as_deref())
        .header("X-Registry-Auth", registry_auth(context, &name)?);
    let body = context.far()?.send(request)?.body;
    Told::new(ui, quiet, false).show(body)?;
    if quiet {
        ui.line(&name.to_string());
    }
    Ok(0)
}

pub(super) fn load(context: &Context) -> Outcome {
    let (matches, quiet) = (context.matches(), context.matches().flag("quiet"));
    let platform = matches.string("platform").filter(|text| !text.is_empty());
    let mut from: Box<dyn Read> = match matches.string("input").filter(|path| !path.is_empty()) {
        Some(path) => Box::new(
            File::open(path)
                .map_err(|error| Failure::new(format!("open {path}: {}", reason(&error))))?,
        ),
        None if io::stdin().is_terminal() => {
            return Err(Failure::new("requested load from stdin, but stdin is empty"));
        }
        None => Box::new(io::stdin()),
    };
    let request = Request::post("/images/load")
        .with("quiet", if quiet || !context.ui.is_terminal() { "1" } else { "0" })
        .given("platform", platform_document(platform)?.as_deref())
        .stream("application/x-tar", &mut *from);
    let body = context.far()?.send(request)?.body;
    Told::new(&context.ui, false, false).show(body)?;
    Ok(0)
}

pub(super) fn export(context: &Context) -> Outcome {
    let client = context.far()?;
    write_out(context, "export container", |out| {
        let request = Request::get(format!("/containers/{}/export", context.names()[0]));
        let copied = io::copy(&mut client.send(request)?.body, out);
        copied.map_err(|error| Failure::new(format!("failed to export container: {error}")))?;
        Ok(())
    })
}

pub(super) fn save(context: &Context) -> Outcome {
    let (client, matches) = (context.far()?, context.matches());
    let platform = matches.string("platform").filter(|text| !text.is_empty());
    let platform = platform_document(platform)?;
    write_out(context, "save image", |out| {
        let mut request = Request::get("/images/get").given("platform", platform.as_deref());
        for name in context.names() {
            request = request.with("names", name);
        }
        let copied = io::copy(&mut client.send(request)?.body, out);
        copied.map_err(|error| Failure::new(format!("failed to save image: {error}")))?;
        Ok(())
    })
}
