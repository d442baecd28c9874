//! What a command gets: its arguments, the environment, the terminal, and the engine on demand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use client::Client;
use engine::{Engine, LogLevel, SettingFlags, Settings};

use crate::args::{Invocation, Matches};
use crate::doors::Doors;
use crate::failure::{Failure, Outcome};
use crate::rootless;
use crate::ui::Ui;

/// What a command does.
pub(crate) type Action = fn(&Context) -> Outcome;

/// Everything a command works with.
pub(crate) struct Context {
    invocation: Invocation<Action>,
    environment: BTreeMap<String, String>,
    doors: &'static Doors,
    far: Option<Client>,
    /// Where it prints.
    pub(crate) ui: Ui,
}

impl Context {
    pub(crate) fn new(
        invocation: Invocation<Action>,
        environment: BTreeMap<String, String>,
        ui: Ui,
        doors: &'static Doors,
    ) -> Context {
        Context { invocation, environment, doors, far: None, ui }
    }

    /// The same for an engine elsewhere.
    pub(crate) fn elsewhere(self, client: Client) -> Context {
        Context { far: Some(client), ..self }
    }

    /// The engine elsewhere, where one is meant.
    pub(crate) fn elsewhere_if_any(&self) -> Option<&Client> {
        self.far.as_ref()
    }

    /// The engine elsewhere.
    pub(crate) fn far(&self) -> Result<&Client, Failure> {
        self.far
            .as_ref()
            .ok_or_else(|| Failure::new("error: this command is for engines elsewhere"))
    }

    /// The names of the command, as they are typed: `container ls`.
    pub(crate) fn called(&self) -> String {
        let names = self.invocation.path.iter().skip(1).map(|command| command.name);
        names.collect::<Vec<_>>().join(" ")
    }

    /// Does what the command does.
    pub(crate) fn act(&self) -> Outcome {
        (self.invocation.action)(self)
    }

    /// What the command line opens but does not know.
    pub(crate) fn doors(&self) -> &'static Doors {
        self.doors
    }

    /// The command's own flags and positionals.
    pub(crate) fn matches(&self) -> &Matches {
        &self.invocation.matches
    }

    /// The flags before the command.
    pub(crate) fn globals(&self) -> &Matches {
        &self.invocation.globals
    }

    /// The whole environment.
    pub(crate) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The words after the flags.
    pub(crate) fn names(&self) -> &[String] {
        self.invocation.matches.positionals()
    }

    /// A variable of the environment.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// The settings that the global flags, the environment and the file give.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let globals = &self.invocation.globals;
        let path = |name| globals.string(name).map(PathBuf::from);
        let level = match globals.flag("debug") {
            true => Some("debug".to_owned()),
            // The default is the settings' own: a file may have another.
            false if !globals.given("log-level") => None,
            false => globals.string("log-level").map(str::to_owned),
        };
        if let Some(level) = level.as_deref().filter(|level| level.parse::<LogLevel>().is_err()) {
            return Err(Failure::new(format!("Unable to parse logging level: {level}")));
        }
        let flags = SettingFlags {
            data_root: path("data-root"),
            run_root: path("run-root"),
            storage_driver: globals.string("storage-driver").map(str::to_owned),
            config: path("config"),
            log_level: level,
        };
        Ok(Settings::gather(&flags, &self.environment)?)
    }

    /// The engine.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        let settings = self.settings()?;
        rootless::enter(self, &settings)?;
        let debug = settings.log_level == LogLevel::Debug;
        let engine = Engine::open(settings)?;
        if debug {
            let store = engine.store();
            self.ui.warn(&format!("debug: data root {}", engine.root().display()));
            self.ui.warn(&format!("debug: run root {}", store.paths().run().display()));
            let (driver, why) = (store.driver().kind(), store.driver_reason());
            self.ui.warn(&format!("debug: storage driver {driver}: {why}"));
        }
        Ok(engine)
    }
}
