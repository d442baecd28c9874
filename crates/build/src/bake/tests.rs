//! A bake file in, a plan out.

use serde_json::json;

use super::*;

mod language;
mod targets;

fn given(wanted: &[&str], overrides: &[&str], variables: &[(&str, &str)]) -> Given {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Given {
        variables: variables.iter().map(pair).collect(),
        overrides: own(overrides),
        wanted: own(wanted),
        context: "cwd://".to_owned(),
        platform: "linux/amd64".to_owned(),
        world: World { now: 1_700_000_000, seed: 1, home: "/home/me".to_owned() },
    }
}

fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned(), folder: String::new() }
}

fn hcl(text: &str, given: &Given) -> Result<Json, String> {
    let plan = plan(&[file("docker-bake.hcl", text)], given);
    plan.map(|plan| plan.document()).map_err(|error| error.to_string())
}

/// What an expression is, as an argument of a target.
fn value(expression: &str) -> Result<Json, String> {
    let text =
        format!("x = {expression}\ntarget \"default\" {{\n args = {{ v = jsonencode(x) }}\n}}");
    let document = hcl(&text, &given(&[], &[], &[]))?;
    let encoded = document["target"]["default"]["args"]["v"].as_str().unwrap().to_owned();
    Ok(serde_json::from_str(&encoded).unwrap())
}

#[track_caller]
fn is(expression: &str, wanted: Json) {
    assert_eq!(value(expression), Ok(wanted), "{expression}");
}

#[track_caller]
fn fails(expression: &str, words: &str) {
    let error = value(expression).expect_err(expression);
    assert!(error.contains(words), "{expression}: {error}");
}
