//! Files of git repositories, as contexts and for `ADD`, fetched by the program `git`.
//!
//! It sees nothing of the user's: no configuration, no hooks, no helpers that know passwords, no
//! questions. What it is to know (the address, a token) it gets in its environment, which nobody
//! else can read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ::build::ignore::Ignore;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hashes::Hashes;
use super::place::{ContextFacts, Place};
use super::request::BuildRequest;
use crate::error::{EngineError, Result};

/// Something in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GitUrl {
    /// The repository.
    pub(super) remote: String,
    /// A branch, a tag or a commit; else what the repository's head is.
    reference: Option<String>,
    /// A folder in it.
    pub(super) subdir: Option<String>,
    /// How the commit's name begins.
    checksum: Option<String>,
    /// Whether the repository's own folder stays.
    pub(super) keep_git_dir: Option<bool>,
    /// Whether the repositories in it come too.
    submodules: Option<bool>,
    /// Whether the commit is asked for by its name, whatever branch or tag it is on.
    by_commit: bool,
    /// Whether its files have the commit's time.
    has_time: bool,
}

/// Files that were fetched.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// Where they are.
    pub(super) folder: PathBuf,
    /// The commit.
    pub(super) commit: String,
    /// When that was made, in seconds since 1970.
    pub(super) time: i64,
}

impl Checkout {
    /// Its files, or those of a folder in it.
    pub(super) fn place(
        &self,
        url: &GitUrl,
        keep_git_dir: bool,
        ignored: &str,
    ) -> Result<Arc<Place>> {
        let subdir = url.subdir.as_deref().unwrap_or(".");
        let top =
            sys::fs::open_folder(&self.folder).map_err(EngineError::io("open", &self.folder))?;
        let root = sys::fs::folder_in_root(&top, subdir.trim_start_matches('/'));
        let root =
            root.map_err(|_| refused(&url.shown(), &format!("{subdir} is no folder in it")))?;
        let own = if keep_git_dir { "" } else { "**/.git\n" };
        let ignore = Ignore::parse(&format!("{own}{ignored}"))?;
        let time = url.has_time.then_some(self.time);
        let context = Some(ContextFacts { ignore, hashes: Hashes::nowhere(), time });
        Ok(Arc::new(Place { root, name: url.shown(), context }))
    }
}

/// Where programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Files have the same permissions whoever builds.
const SCRIPT: &str = "umask 022 && exec git \"$@\"";
/// The secret that says who asks, for all hosts or with a dot and one's name after it.
pub(super) const GIT_TOKEN: &str = "GIT_AUTH_TOKEN";
/// What a shell says of a program that is not there.
const NOT_FOUND: i32 = 127;
/// Protocols that a repository, or one in it, may be fetched by.
const PROTOCOLS: &str = "git:http:https:ssh";
/// What of git's complaints is shown.
const SHOWN_LINES: usize = 4;

impl GitUrl {
    /// Reads an address, if it is one of a repository.
    pub(super) fn parse(text: &str) -> Result<Option<GitUrl>> {
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(a, b)| (a, Some(b)));
        let (remote, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
        let is_web = remote.starts_with("http://") || remote.starts_with("https://");
        let is_git = remote.starts_with("git://")
            || remote.starts_with("ssh://")
            || is_scp(remote)
            || is_web && remote.ends_with(".git");
        let remote = match remote.starts_with("github.com/") {
            true => format!("https://{remote}"),
            false if is_git => remote.to_owned(),
            false => return Ok(None),
        };
        let mut url = GitUrl { remote, ..GitUrl::default() };
        let fragment = fragment.unwrap_or_default();
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (url.reference, url.subdir) = (given(reference), given(subdir));
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            url.take(pair).map_err(|why| refused(text, &why))?;
        }
        match url.reference.as_deref().filter(|name| name.starts_with('-')) {
            Some(name) => Err(refused(text, &format!("{name:?} is no name of a branch or tag"))),
            None => Ok(Some(url)),
        }
    }

    fn take(&mut self, pair: &str) -> Result<(), String> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let truth = || match value {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(format!("{key}={value} is neither true nor false")),
        };
        match key {
            "ref" => self.reference = Some(value.to_owned()),
            "branch" => self.reference = Some(format!("refs/heads/{value}")),
            "tag" => self.reference = Some(format!("refs/tags/{value}")),
            "subdir" => self.subdir = Some(value.to_owned()),
            "checksum" | "commit" => self.checksum = Some(value.to_owned()),
            "keep-git-dir" => self.keep_git_dir = truth()?,
            "submodules" => self.submodules = truth()?,
            "fetch-by-commit" => self.by_commit = truth()? == Some(true),
            "mtime" => {
                self.has_time = match value {
                    "commit" => true,
                    "checkout" => false,
                    _ => return Err(format!("mtime={value} is neither checkout nor commit")),
                };
            }
            key => return Err(format!("{key} is not known")),
        }
        Ok(())
    }

    /// The same, which must be this commit.
    pub(super) fn checked(mut self, checksum: Option<&str>) -> GitUrl {
        self.checksum = checksum.map(str::to_owned).or(self.checksum);
        self
    }

    /// Fetches it into an empty folder.
    pub(super) fn fetch(&self, folder: PathBuf, request: &BuildRequest) -> Result<Checkout> {
        let git = Git { url: self, folder: &folder, request, path: PATH };
        git.run(&["init", "-q", "--template="])?;
        let wanted = match (&self.checksum, &self.reference) {
            (Some(commit), _) if self.by_commit && is_commit(commit) => commit,
            (None, _) if self.by_commit => {
                let words = "fetch-by-commit needs commit or checksum";
                return Err(refused(&self.shown(), words));
            }
            (_, reference) => reference.as_deref().unwrap_or("HEAD"),
        };
        let fetch = ["fetch", "-q", "--no-tags", "--no-recurse-submodules"];
        let shallow = [&fetch[..], &["--depth=1", "origin", wanted]].concat();
        let commit = match git.run(&shallow) {
            Ok(_) => git.run(&["rev-parse", "FETCH_HEAD^{commit}"])?,
            // Not every server gives a commit that is asked for by its name.
            Err(_) if is_commit(wanted) => {
                let all = ["origin", "+refs/heads/*:refs/all/*", "+refs/tags/*:refs/tags/*"];
                git.run(&[&fetch[..], &all].concat())?;
                git.run(&["rev-parse", &format!("{wanted}^{{commit}}")])?
            }
            Err(error) => return Err(error),
        };
        let commit = commit.trim().to_owned();
        if let Some(checksum) = self.checksum.as_ref().filter(|sum| !commit.starts_with(*sum)) {
            let why = format!("expected checksum to match {checksum}, got {commit}");
            return Err(refused(&self.shown(), &why));
        }
        git.run(&["checkout", "-q", "--force", "--detach", &commit])?;
        if self.submodules.unwrap_or(true) && folder.join(".gitmodules").exists() {
            git.run(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
        }
        let time = git.run(&["log", "-1", "--format=%ct", &commit])?;
        let time =
            time.trim().parse().map_err(|_| refused(&self.shown(), "a commit has no time"))?;
        Ok(Checkout { folder, commit, time })
    }

    /// The address without a name and a password that may stand in it.
    pub(super) fn shown(&self) -> String {
        match self.user() {
            Some(user) => self.remote.replacen(&format!("{user}@"), "", 1),
            None => self.remote.clone(),
        }
    }

    fn user(&self) -> Option<&str> {
        let (_, rest) = self.remote.split_once("://")?;
        let host = rest.split('/').next()?;
        host.rsplit_once('@').map(|(user, _)| user)
    }

    pub(super) fn host(&self) -> &str {
        let rest = self.remote.split_once("://").map_or(self.remote.as_str(), |(_, rest)| rest);
        let host = rest.split(['/']).next().unwrap_or_default();
        host.rsplit_once('@').map_or(host, |(_, host)| host)
    }
}

/// A row of commands in one folder.
struct Git<'a> {
    url: &'a GitUrl,
    folder: &'a Path,
    request: &'a BuildRequest,
    /// Where the program is looked for.
    path: &'a str,
}

impl Git<'_> {
    /// Runs a command and gives what it printed.
    fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "git"]).args(words).current_dir(self.folder).env_clear();
        command.env("PATH", self.path).env("HOME", self.folder).env("LC_ALL", "C");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", PROTOCOLS);
        command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        let agent = self.request.agent("default")?;
        let agent = agent.as_ref().or(self.request.agents.values().next());
        command.envs(agent.map(|socket| ("SSH_AUTH_SOCK", socket)));
        let settings = self.settings();
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (key, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(EngineError::io("run", "/bin/sh"))?;
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Some(NOT_FOUND) => Err(EngineError::NoGit(self.url.shown())),
            _ => Err(refused(&self.url.shown(), &self.complaint(&output.stderr))),
        }
    }

    /// Settings of this one command.
    fn settings(&self) -> Vec<(String, String)> {
        let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut list = vec![
            own("remote.origin.url", &self.url.remote),
            own("core.hooksPath", "/dev/null"),
            own("credential.helper", ""),
            own("advice.detachedHead", "false"),
            own("gc.auto", "0"),
        ];
        if let Some(header) = self.header() {
            let key = format!("http.https://{}/.extraHeader", self.url.host());
            list.push((key, format!("Authorization: {header}")));
            // Nobody else is told, wherever the host sends us.
            list.push(own("http.followRedirects", "false"));
        }
        list
    }

    /// What opens the repository, if somebody gave it: for its host, or for all.
    fn header(&self) -> Option<String> {
        let secret = |name: &str| {
            let own = format!("{name}.{}", self.url.host());
            let known = |id: &str| self.request.secret(id).ok().flatten();
            let bytes = known(&own).or_else(|| known(name))?;
            Some(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        let of_token =
            |token: String| format!("basic {}", STANDARD.encode(format!("x-access-token:{token}")));
        secret("GIT_AUTH_HEADER").or_else(|| secret(GIT_TOKEN).map(of_token))
    }

    /// The end of what git said, without what nobody should see.
    fn complaint(&self, bytes: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if let Some(user) = self.url.user() {
            text = text.replace(&format!("{user}@"), "");
        }
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("; ")
    }
}

/// `user@host:path`, as ssh's own tools write it.
fn is_scp(remote: &str) -> bool {
    let Some((host, path)) = remote.split_once(':') else { return false };
    let is_host = host.contains('@') && !host.contains('/');
    is_host && !path.is_empty() && !path.starts_with("//")
}

fn is_commit(name: &str) -> bool {
    matches!(name.len(), 7..=64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn refused(what: &str, why: &str) -> EngineError {
    EngineError::Refused(format!("failed to fetch remote {what}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> GitUrl {
        GitUrl::parse(text).unwrap().unwrap_or_else(|| panic!("{text} is no repository"))
    }

    #[test]
    fn addresses_of_repositories_and_others() {
        let own = |text: &str| Some(text.to_owned());
        let url = parse("https://host/me/app.git#v1:sub/folder");
        assert_eq!(url.remote, "https://host/me/app.git");
        assert_eq!((url.reference, url.subdir), (own("v1"), own("sub/folder")));
        let url = parse("https://host/app.git#:only");
        assert_eq!((url.reference, url.subdir), (None, own("only")));
        assert_eq!(parse("git@host:me/app.git").remote, "git@host:me/app.git");
        assert_eq!(parse("github.com/me/app").remote, "https://github.com/me/app");
        assert_eq!(parse("git://host/app?branch=main").reference, own("refs/heads/main"));
        let url = parse("ssh://git@host/app?tag=1&checksum=abc1234&keep-git-dir&submodules=0");
        assert_eq!((url.reference, url.checksum), (own("refs/tags/1"), own("abc1234")));
        assert_eq!((url.keep_git_dir, url.submodules), (Some(true), Some(false)));
        let url = parse("git://host/app?fetch-by-commit=true&commit=abc1234&mtime=commit");
        assert_eq!((url.by_commit, url.has_time), (true, true));
        assert!(!parse("git://host/app?mtime=checkout").has_time);
        for text in ["https://host/app.tar", "http://host/x.git/info", "app.git", "./a@b:c", "a:b"]
        {
            assert_eq!(GitUrl::parse(text).unwrap(), None, "{text}");
        }
        for text in [
            "git://host/app?colour=red",
            "git://host/app#--upload-pack=x",
            "git://host/app?mtime=now",
        ] {
            assert!(GitUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_is_asked_for_is_not_shown() {
        let url = parse("https://me:secret@host/app.git");
        assert_eq!((url.shown().as_str(), url.host()), ("https://host/app.git", "host"));
        let secrets = [("GIT_AUTH_TOKEN.host".to_owned(), b"t0ken\n".to_vec())].into();
        let request = BuildRequest { secrets, ..BuildRequest::default() };
        let git = Git { url: &url, folder: Path::new("/"), request: &request, path: PATH };
        assert_eq!(git.header().unwrap(), "basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=");
        let said = git.complaint(b"a\nfatal: cannot reach 'https://me:secret@host/app.git/'\n");
        assert!(!said.contains("secret"), "{said}");
        let other = parse("https://elsewhere/app.git");
        assert_eq!(Git { url: &other, ..git }.header(), None);
    }

    #[test]
    fn without_git_that_is_what_is_said() {
        let url = parse("https://me:secret@host/app.git");
        let request = BuildRequest::default();
        let git = Git { url: &url, folder: Path::new("/"), request: &request, path: "/nowhere" };
        let error = git.run(&["init"]);
        let error = error.unwrap_err();
        let words =
            "cannot fetch the repository https://host/app.git: the program git is not installed";
        assert_eq!(error.to_string(), words);
        assert!(error.hint().unwrap().starts_with("install git"));
    }
}
