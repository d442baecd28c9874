//! `mica login` and `mica logout`.

use std::io::{self, BufRead, IsTerminal, Read};

use engine::{Credential, CredentialError, EngineError, Kept, Login, RegistryError, Secret};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::Ui;

const INSECURE: &str = "WARNING! Using --password via the CLI is insecure. Use --password-stdin.";
const NO_TERMINAL: &str = "Error: Cannot perform an interactive login from a non TTY device";
/// How to become somebody else, as docker tells it.
const OTHER: &str =
    " Info -> To login with a different account, run 'docker logout' followed by 'docker login'";
/// The same for a person's eyes.
const OTHER_IN_COLOURS: &str = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo \u{2192} \
    \x1b[0m\x1b[0m\x1b[3mTo login with a different account, run 'docker logout' followed by \
    'docker login'\x1b[0m";
/// No honest password is longer.
const PASSWORD_BYTES: u64 = 1 << 20;

pub(crate) fn login(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let given = |name: &str| matches.string(name).filter(|text| !text.is_empty());
    let server = context.names().first().map(String::as_str);
    let mut password = given("password").map(Secret::new);
    if matches.flag("password-stdin") {
        if matches.given("password") {
            return Err(Failure::new(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        if !matches.given("username") {
            let text = "the --password-stdin option requires --username to be set";
            return Err(Failure::new(text));
        }
    }
    for name in ["username", "password"] {
        if matches.given(name) && given(name).is_none() {
            return Err(Failure::new(format!("{name} is empty")));
        }
    }
    if matches.flag("password-stdin") {
        password = Some(from_stdin()?).filter(|password| !password.expose().is_empty());
    } else if password.is_some() {
        ui.warn(INSECURE);
    }
    let settings = context.settings()?.registry;
    let known = match (given("username"), &password) {
        (None, None) => settings.known(server)?,
        _ => None,
    };
    let mut usual = None;
    // Who is known already need not say it again, while it is right.
    if let Some(Credential::Password { user, password }) = known {
        ui.warn(&format!("Authenticating with existing credentials... [Username: {user}]"));
        let colours = ui.error_is_terminal() && context.variable("NO_COLOR").is_none();
        ui.warn(&format!("\n{}\n\n", if colours { OTHER_IN_COLOURS } else { OTHER }));
        let server = server.map(str::to_owned);
        match settings.login(&Login { server, user: user.clone(), password }) {
            Ok(_) => {
                ui.line("Login Succeeded");
                return Ok(0);
            }
            Err(error) if error.is_denied() => {
                ui.warn("Stored credentials invalid or expired");
            }
            Err(error) => ui.warn(&format!("Login did not succeed, error: {error}")),
        }
        usual = Some(user);
    }
    let (user, password) = ask(ui, given("username"), password, usual)?;
    let login = Login { server: server.map(str::to_owned), user, password };
    let kept = settings.login(&login).map_err(not_kept)?.kept;
    if let Kept::Plain(path) = &kept {
        ui.warn(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            path.display()
        ));
    }
    ui.line("Login Succeeded");
    Ok(0)
}

/// What could not be written down is docker's client's own trouble, not the registry's.
fn not_kept(error: EngineError) -> Failure {
    match &error {
        EngineError::Registry(RegistryError::Credential(why)) => {
            let failure = Failure::new(format!("Error saving credentials: {why}"));
            error.hint().into_iter().fold(failure, Failure::hint)
        }
        _ => error.into(),
    }
}

pub(crate) fn logout(context: &Context) -> Outcome {
    let server = context.names().first().map(String::as_str);
    let shown = server.unwrap_or("https://index.docker.io/v1/");
    context.ui.line(&format!("Removing login credentials for {shown}"));
    let settings = context.settings()?.registry;
    match settings.logout(server) {
        Ok(_) => Ok(0),
        // All that is ours is forgotten; the helper's is not ours.
        Err(error @ CredentialError::Helper { .. }) => {
            context.ui.warn(&format!("WARNING: could not erase credentials:\n{shown}: {error}"));
            Ok(0)
        }
        Err(error) => Err(EngineError::Registry(error.into()).into()),
    }
}

/// A password from a pipe, less the line's end.
fn from_stdin() -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(PASSWORD_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("error: cannot read standard input: {error}")))?;
    let text = Secret::new(text);
    Ok(Secret::new(text.expose().trim_end_matches(['\n', '\r'])))
}

/// Asks a person for what is missing. Who says nothing is who they were the last time.
fn ask(
    ui: &Ui,
    user: Option<&str>,
    password: Option<Secret>,
    usual: Option<String>,
) -> Result<(String, Secret), Failure> {
    let is_complete = user.is_some() && password.is_some();
    if !is_complete && !io::stdin().is_terminal() {
        return Err(Failure::new(NO_TERMINAL));
    }
    let user = match user {
        Some(user) => user.to_owned(),
        None => {
            match &usual {
                Some(usual) => ui.print(&format!("Username ({usual}): ")),
                None => ui.print("Username: "),
            }
            flush();
            let typed = line()?.expose().trim().to_owned();
            if typed.is_empty() { usual.unwrap_or_default() } else { typed }
        }
    };
    if user.is_empty() {
        return Err(Failure::new("username is empty"));
    }
    let password = match password {
        Some(password) => password,
        None => {
            ui.print("Password: ");
            flush();
            let password = unseen(line);
            ui.line("");
            password?
        }
    };
    match password.expose().is_empty() {
        true => Err(Failure::new("password is empty")),
        false => Ok((user, password)),
    }
}

/// The password of a key: cosign's variable has it, or a person at a terminal.
pub(crate) fn key_password(context: &Context) -> Option<Secret> {
    if let Some(password) = context.variable("COSIGN_PASSWORD") {
        return Some(Secret::new(password));
    }
    if !io::stdin().is_terminal() {
        return None;
    }
    context.ui.print("Enter password for private key: ");
    flush();
    let password = unseen(line);
    context.ui.line("");
    password.ok()
}

fn flush() {
    // A prompt that cannot be shown is no reason to stop.
    let _ = io::Write::flush(&mut io::stdout());
}

fn line() -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(PASSWORD_BYTES).read_line(&mut text);
    read.map_err(|error| Failure::new(format!("error: cannot read standard input: {error}")))?;
    let text = Secret::new(text);
    Ok(Secret::new(text.expose().trim_end_matches(['\n', '\r'])))
}

/// Reads while the terminal shows nothing of what is typed.
fn unseen<T>(read: impl FnOnce() -> T) -> T {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin);
    if let Ok(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &silent);
    }
    let result = read();
    if let Ok(before) = &before {
        let _ = tcsetattr(&stdin, OptionalActions::Now, before);
    }
    result
}
