//! `ps`, `port`, `diff`, `commit`, `update` and `top` elsewhere.

use std::borrow::Cow;

use client::Request;
use engine::{ProcessTable, PublishedPort};
use serde_json::{Value, json};
use spec::{ContainerPort, Timestamp};

use super::create::look;
use crate::commands::containers::{Listed, View};
use crate::commands::{commit, container, top, update};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    let view = View::of(context);
    let request = Request::get("/containers/json")
        .flag("all", matches.flag("all") || view.last.is_some())
        .given("limit", view.last.map(|last| last.to_string()).as_deref())
        .flag("size", view.wants_sizes())
        .given("filters", filters(matches.list("filter"))?.as_deref());
    let found: Vec<Value> = context.far()?.call(request)?;
    view.show(context, found.into_iter().map(Told).collect())
}

/// `--filter`s in the form in which they are sent; none if there are none.
pub(super) fn filters(list: &[String]) -> Result<Option<String>, Failure> {
    let mut all = json!({});
    for text in list.iter().filter(|text| !text.is_empty()) {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::new("bad format of filter (expected name=value)"))?;
        all[name.trim().to_lowercase()][value.trim()] = json!(true);
    }
    Ok(all.as_object().is_some_and(|all| !all.is_empty()).then(|| all.to_string()))
}

/// A container as the engine tells of it in a list.
pub(super) struct Told(pub(super) Value);

impl Told {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().map_or(&[], Vec::as_slice)
    }
}

impl Listed for Told {
    fn id(&self) -> Cow<'_, str> {
        self.text("Id").into()
    }

    fn names(&self, all: bool) -> Cow<'_, str> {
        let names = self.list("Names").iter().filter_map(Value::as_str);
        let names = names.map(|name| name.trim_start_matches('/'));
        // Names by which others know it have more than one slash.
        names.filter(|name| all || !name.contains('/')).collect::<Vec<_>>().join(",").into()
    }

    fn image(&self) -> &str {
        self.text("Image")
    }

    fn command(&self) -> Cow<'_, str> {
        self.text("Command").into()
    }

    fn created(&self) -> Timestamp {
        Timestamp::from_unix(self.0["Created"].as_i64().unwrap_or_default(), 0)
    }

    fn ports(&self) -> (Vec<PublishedPort>, Vec<ContainerPort>) {
        let (mut published, mut exposed) = (Vec::new(), Vec::new());
        for port in self.list("Ports") {
            let kind = port["Type"].as_str().unwrap_or("tcp");
            let Ok(container) = format!("{}/{kind}", port["PrivatePort"]).parse::<ContainerPort>()
            else {
                continue;
            };
            let host = port["PublicPort"].as_u64().and_then(|number| u16::try_from(number).ok());
            let address = port["IP"].as_str().unwrap_or("0.0.0.0").parse();
            match (host, address) {
                (Some(host_port), Ok(host_address)) => {
                    published.push(PublishedPort { container, host_address, host_port });
                }
                _ => exposed.push(container),
            }
        }
        (published, exposed)
    }

    fn state(&self, _now: Timestamp) -> [Cow<'_, str>; 3] {
        let health = self.0["Health"]["Status"].as_str().unwrap_or_default();
        [self.text("State").into(), self.text("Status").into(), health.into()]
    }

    fn size(&self) -> (u64, u64) {
        let bytes = |name: &str| self.0[name].as_u64().unwrap_or_default();
        (bytes("SizeRw"), bytes("SizeRootFs"))
    }

    fn labels(&self) -> Vec<(&str, &str)> {
        let labels = self.0["Labels"].as_object().into_iter().flatten();
        labels.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect()
    }

    fn mounts(&self) -> Vec<(&str, bool)> {
        let mounts = self.list("Mounts").iter().map(|mount| {
            let part = |name: &str| mount[name].as_str().filter(|text| !text.is_empty());
            (part("Name").or(part("Source")).unwrap_or_default(), part("Driver") == Some("local"))
        });
        mounts.collect()
    }

    fn networks(&self) -> Vec<String> {
        let all = self.0["NetworkSettings"]["Networks"].as_object();
        all.into_iter().flat_map(|networks| networks.keys().cloned()).collect()
    }

    fn platform(&self) -> Cow<'_, str> {
        let platform = &self.0["ImageManifestDescriptor"]["platform"];
        let part = |name: &str| platform[name].as_str().unwrap_or_default();
        match part("os") {
            "" => "".into(),
            os => format!("{os}/{}", part("architecture")).into(),
        }
    }
}

pub(super) fn port(context: &Context) -> Outcome {
    let found = look(context.far()?, &context.names()[0])?;
    let mut published = Vec::new();
    for (port, places) in found["NetworkSettings"]["Ports"].as_object().into_iter().flatten() {
        for place in places.as_array().into_iter().flatten() {
            let text = |name: &str| place[name].as_str().unwrap_or_default();
            // What is no port is none of which anything can be said.
            if let (Ok(container), Ok(host_address), Ok(host_port)) =
                (port.parse(), text("HostIp").parse(), text("HostPort").parse())
            {
                published.push(PublishedPort { container, host_address, host_port });
            }
        }
    }
    container::show_ports(context, published)
}

pub(super) fn diff(context: &Context) -> Outcome {
    let request = Request::get(format!("/containers/{}/changes", context.names()[0]));
    // An engine that sees no change may say nothing at all.
    let changes: Option<Vec<Value>> = context.far()?.call(request)?;
    let letter = |change: &Value| match change["Kind"].as_u64() {
        Some(0) => 'C',
        Some(1) => 'A',
        _ => 'D',
    };
    let path = |change: &Value| change["Path"].as_str().unwrap_or_default().into();
    let changes = changes.unwrap_or_default();
    commit::show_changes(context, changes.iter().map(|change| (letter(change), path(change))))
}

pub(super) fn commit(context: &Context) -> Outcome {
    let matches = context.matches();
    let name = commit::wanted_name(context)?.map(|(_, name)| name.with_default_tag());
    let text = |name: &str| matches.string(name).filter(|text| !text.is_empty());
    let mut request = Request::post("/commit")
        .with("container", &context.names()[0])
        .given("repo", name.as_ref().map(|name| name.familiar_name()).as_deref())
        .given("tag", name.as_ref().and_then(|name| name.tag()))
        .given("comment", text("message"))
        .given("author", text("author"))
        .with("pause", if matches.flag("pause") { "1" } else { "0" });
    for change in matches.list("change") {
        request = request.with("changes", change);
    }
    let made: Value = context.far()?.call(request.json(json!({})))?;
    context.ui.line(made["Id"].as_str().unwrap_or_default());
    Ok(0)
}

pub(super) fn update(context: &Context) -> Outcome {
    let (request, client) = (update::request(context.matches())?, context.far()?);
    let mut document = serde_json::to_value(&request.resources)
        .map_err(|error| Failure::new(error.to_string()))?;
    if let Some(policy) = request.restart {
        document["RestartPolicy"] = json!(policy);
    }
    let mut code = 0;
    for name in context.names() {
        let request = Request::post(format!("/containers/{name}/update")).json(document.clone());
        match client.call::<Value>(request) {
            Ok(told) => {
                let warnings = told["Warnings"].as_array().into_iter().flatten();
                let warnings = warnings.filter_map(Value::as_str).map(str::to_owned);
                update::tell(context, name, &warnings.collect::<Vec<_>>());
            }
            Err(error) => code = Failure::from(error).tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}

pub(super) fn top(context: &Context) -> Outcome {
    let (name, options) = (&context.names()[0], context.names()[1..].join(" "));
    let request = Request::get(format!("/containers/{name}/top"))
        .given("ps_args", Some(options.as_str()).filter(|options| !options.is_empty()));
    let told: Value = context.far()?.call(request)?;
    let words = |list: &Value| -> Vec<String> {
        let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        words.map(str::to_owned).collect()
    };
    let processes = told["Processes"].as_array().into_iter().flatten().map(words).collect();
    top::show(context, &ProcessTable { titles: words(&told["Titles"]), processes })
}

#[cfg(test)]
mod tests {
    use super::filters;

    #[test]
    fn filters_are_sent_as_sets() {
        let list = ["label=a=b", "label=c", " Name = x "].map(str::to_owned);
        assert_eq!(
            filters(&list).unwrap().unwrap(),
            r#"{"label":{"a=b":true,"c":true},"name":{"x":true}}"#
        );
        assert_eq!(filters(&[]).unwrap(), None);
        assert!(filters(&["x".to_owned()]).is_err());
    }
}
