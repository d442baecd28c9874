//! What should not be written down: names that only secrets have, and values that look like one.

use super::Linter;
use super::rules::SECRETS_USED_IN_ARG_OR_ENV;
use crate::instruction::Instruction;

/// Parts of names that only secrets have.
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

pub(super) fn secret(linter: &mut Linter<'_>, one: &Instruction, name: &str, stage: Option<usize>) {
    let lower = name.to_lowercase();
    let parts: Vec<&str> = lower.split('_').collect();
    let is_public = parts.contains(&"public");
    if is_public || !parts.iter().any(|part| SECRET_WORDS.contains(part)) {
        return;
    }
    let keyword = one.keyword.to_uppercase();
    let message =
        format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})");
    let found = linter.find(&SECRETS_USED_IN_ARG_OR_ENV, one.span, message);
    found.stage = stage;
    let id = lower.replace('_', "-");
    found.hint(format!("RUN --mount=type=secret,id={id},env={name} … with --secret id={id}"));
}

/// What a value gives away by its form.
pub(super) fn secret_kind(value: &str) -> Option<&'static str> {
    let tail = |prefix: &str, length: usize| {
        value.strip_prefix(prefix).is_some_and(|rest| {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            rest.len() >= length && rest.chars().all(is_word)
        })
    };
    let password_in_address = || {
        let (_, after) = value.split_once("://")?;
        let (user, _) = after.split('/').next()?.rsplit_once('@')?;
        let (_, password) = user.split_once(':')?;
        (!password.is_empty() && !password.contains('$')).then_some(())
    };
    if value.contains("-----BEGIN") && value.contains("PRIVATE KEY") {
        Some("a private key")
    } else if tail("AKIA", 16) || tail("ASIA", 16) {
        Some("an access key of AWS")
    } else if ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_"].iter().any(|start| tail(start, 20)) {
        Some("a token of GitHub")
    } else if tail("glpat-", 16) {
        Some("a token of GitLab")
    } else if ["xoxb-", "xoxp-", "xoxa-"].iter().any(|start| tail(start, 10)) {
        Some("a token of Slack")
    } else if tail("npm_", 30) {
        Some("a token of npm")
    } else if password_in_address().is_some() {
        Some("an address with a password")
    } else {
        None
    }
}
