//! What `pull` and `push` show on their way: bars for a person, docker's lines for a log.

use engine::{Item, Progress, Pulled};
use spec::Reference;

use crate::progress::Bars;
use crate::ui::Ui;

/// Bars below a person's eyes, and docker's lines where there are none.
pub(super) struct Transfer {
    bars: Bars,
    ui: Ui,
    quiet: bool,
    line: fn(&Ui, &str),
}

impl Transfer {
    pub(super) fn new(ui: &Ui, quiet: bool) -> Transfer {
        Transfer { bars: Bars::new(ui, quiet), ui: ui.clone(), quiet, line: Ui::line }
    }

    /// One that leaves standard output to whatever it is done for.
    pub(super) fn aside(ui: &Ui, quiet: bool) -> Transfer {
        Transfer { line: Ui::warn, ..Transfer::new(ui, quiet) }
    }

    /// Says what became of an image that was pulled.
    pub(super) fn tell(&self, pulled: &Pulled) {
        self.digest(pulled);
        self.status(&pulled.name, pulled.newer);
    }

    /// Says what a name that was pulled stands for.
    pub(super) fn digest(&self, pulled: &Pulled) {
        if !self.quiet {
            (self.line)(&self.ui, &format!("Digest: {}", pulled.digest));
        }
    }

    /// Says whether a pull brought anything.
    pub(super) fn status(&self, name: &Reference, newer: bool) {
        let words = if newer { "Downloaded newer image for" } else { "Image is up to date for" };
        if !self.quiet {
            (self.line)(&self.ui, &format!("Status: {words} {}", name.familiar()));
        }
    }
}

impl Progress for Transfer {
    fn begin(&self, name: &str, doing: &str, bytes: Option<u64>) -> Box<dyn Item + '_> {
        self.bars.begin(name, doing, bytes)
    }

    /// Docker's daemon tells these on standard output, where scripts look for them.
    fn note(&self, text: &str) {
        match text.strip_prefix("Warning: ") {
            Some(_) => self.ui.warn(text),
            None if self.quiet => {}
            // Bars say the same of each layer, and lines would tear them apart.
            None if self.ui.error_is_terminal() && is_of_layer(text) => {}
            None => (self.line)(&self.ui, text),
        }
    }
}

/// Whether a line begins with a layer's short digest.
fn is_of_layer(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
