//! A flag as a row of a `static` table.

use super::Complete;

/// A check beyond the kind's own; the text of the error ends the message.
pub type Check = fn(&str) -> Result<(), String>;

/// What a flag's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no; needs no value.
    Bool,
    /// Any text; the last one given counts.
    String,
    /// A signed whole number of 64 bits, also `0x1f`, `0b1`, `017` and `1_000`.
    Int,
    /// A whole number of 64 bits, not negative.
    Uint,
    /// A whole number from 0 to 65,535.
    Uint16,
    /// A number with a fraction.
    Float,
    /// A time span as `1m30s`.
    Duration,
    /// A number of bytes as `512m`, in powers of 1,024.
    Size,
    /// As `Size`, and -1 for no limit.
    SwapSize,
    /// A number with at most nine decimals, also as a fraction, as `--cpus` takes it.
    Decimal,
    /// Text that may be given many times.
    List,
    /// As `List`, and one value may hold many, between commas.
    Strings,
}

impl Kind {
    /// What help pages call such a value.
    fn noun(self) -> &'static str {
        match self {
            Kind::Bool => "",
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Uint => "uint",
            Kind::Uint16 => "uint16",
            Kind::Float => "float",
            Kind::Duration => "duration",
            Kind::Size | Kind::SwapSize => "bytes",
            Kind::Decimal => "decimal",
            Kind::List => "list",
            Kind::Strings => "strings",
        }
    }

    /// Whether every value given is kept, not only the last.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Kind::List | Kind::Strings)
    }
}

/// One flag of a command.
///
/// Rows are written `Flag::string("name", "Assign a name").short('n')`.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The long name, without dashes.
    pub name: &'static str,
    /// The letter that stands for it.
    pub short: Option<char>,
    /// What its value is.
    pub kind: Kind,
    /// What help pages call its value; empty for the kind's own noun.
    pub value: &'static str,
    /// Its value when it is not given. Of a list it is only shown, as `[]`.
    pub default: &'static str,
    /// What it does, for the help page.
    pub about: &'static str,
    /// Whether help pages and completion leave it out.
    pub hidden: bool,
    /// What to use in its place, when it is out of use: `use --timeout instead`. It is hidden too.
    pub deprecated: Option<&'static str>,
    /// Its value when it is given without one; it then takes one only after `=`.
    pub no_value: Option<&'static str>,
    /// The flag of this name gets the value: this one is only another name for it.
    pub same_as: Option<&'static str>,
    /// A check beyond the kind's own.
    pub check: Option<Check>,
    /// What its value names, for completion.
    pub complete: Complete,
}

/// `--help`, which every command has.
pub(super) static HELP: Flag = Flag::bool("help", "Print usage").short('h').hidden();

impl Flag {
    /// A flag of this kind.
    pub const fn new(kind: Kind, name: &'static str, about: &'static str) -> Flag {
        Flag {
            name,
            short: None,
            kind,
            value: "",
            default: "",
            about,
            hidden: false,
            deprecated: None,
            no_value: None,
            same_as: None,
            check: None,
            complete: Complete::Nothing,
        }
    }

    /// A flag that is given or not.
    pub const fn bool(name: &'static str, about: &'static str) -> Flag {
        Flag::new(Kind::Bool, name, about)
    }

    /// A flag with a text.
    pub const fn string(name: &'static str, about: &'static str) -> Flag {
        Flag::new(Kind::String, name, about)
    }

    /// A flag with a whole number.
    pub const fn int(name: &'static str, about: &'static str) -> Flag {
        Flag::new(Kind::Int, name, about)
    }

    /// A flag that may be given many times.
    pub const fn list(name: &'static str, about: &'static str) -> Flag {
        Flag::new(Kind::List, name, about)
    }

    /// With the letter that stands for it.
    pub const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    /// With a noun of its own for its value.
    pub const fn value(mut self, noun: &'static str) -> Flag {
        self.value = noun;
        self
    }

    /// With its value when it is not given.
    pub const fn default_value(mut self, value: &'static str) -> Flag {
        self.default = value;
        self
    }

    /// Left out of help pages and completion.
    pub const fn hidden(mut self) -> Flag {
        self.hidden = true;
        self
    }

    /// Out of use, with what to do in its place.
    pub const fn deprecated(mut self, advice: &'static str) -> Flag {
        self.deprecated = Some(advice);
        self
    }

    /// With its value when it is given without one.
    pub const fn no_value(mut self, value: &'static str) -> Flag {
        self.no_value = Some(value);
        self
    }

    /// Only another name for the flag `name`, left out of help pages.
    pub const fn same_as(mut self, name: &'static str) -> Flag {
        self.same_as = Some(name);
        self.hidden = true;
        self
    }

    /// With a check of its value.
    pub const fn check(mut self, check: Check) -> Flag {
        self.check = Some(check);
        self
    }

    /// With what its value names, for completion.
    pub const fn complete(mut self, what: Complete) -> Flag {
        self.complete = what;
        self
    }

    /// Whether help pages and completion show it.
    pub(super) fn is_shown(&self) -> bool {
        !self.hidden && self.deprecated.is_none()
    }

    /// What help pages call its value.
    pub(super) fn noun(&self) -> &'static str {
        if self.value.is_empty() { self.kind.noun() } else { self.value }
    }

    /// The value it has when it is given bare; `None` when a value must follow.
    pub(super) fn bare_value(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Bool => Some(self.no_value.unwrap_or("true")),
            _ => self.no_value,
        }
    }

    /// Its names as messages show them: `-m, --memory`.
    ///
    /// The letter of `--help` is out of use and not shown.
    pub(super) fn names(&self) -> String {
        match self.short {
            Some(letter) if self.name != HELP.name => format!("-{letter}, --{}", self.name),
            _ => format!("--{}", self.name),
        }
    }
}
