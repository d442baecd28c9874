//! Errors as they travel between a monitor and those who asked it: as data.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Kind, RuntimeError};

/// What sort of failure it is. What a newer monitor adds is read as `Other`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The program is not in the container.
    CommandNotFound,
    /// The program is there and cannot be run.
    CommandNotExecutable,
    /// What was named is not there.
    NotFound,
    /// It cannot be done in the state that the container is in.
    Conflict,
    /// What was asked for is wrong.
    InvalidInput,
    /// The machine cannot do it.
    Unsupported,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Why something could not be done, with what brought it about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What sort it is.
    pub kind: FailureKind,
    /// What failed.
    pub message: String,
    /// Why, from the nearest cause to the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a cause.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), because: Vec::new(), hint: None }
    }

    /// A failure with an error and its causes.
    pub fn of(kind: FailureKind, error: &(dyn Error + 'static)) -> Failure {
        let mut failure = Failure::new(kind, error.to_string());
        let mut next = error.source();
        while let Some(cause) = next {
            failure.because.push(cause.to_string());
            next = cause.source();
        }
        failure
    }

    /// A failure of some work, with the error that ended it.
    pub fn doing(message: impl Into<String>, error: &(dyn Error + 'static)) -> Failure {
        let cause = Failure::of(FailureKind::Other, error);
        let mut failure = Failure::new(FailureKind::Other, message);
        failure.because.push(cause.message);
        failure.because.extend(cause.because);
        failure
    }

    /// What a command that could not start its program exits with: 127 when the program is not
    /// there, 126 when it cannot be run, 125 when it is not the program's fault.
    pub fn exit_code(&self) -> i32 {
        match self.kind {
            FailureKind::CommandNotFound => 127,
            FailureKind::CommandNotExecutable => 126,
            _ => 125,
        }
    }

    /// What `exec` exits with that could not start its program. Docker knows two reasons: something
    /// is not there, 127, or it cannot be run, 126.
    pub fn exec_code(&self) -> u8 {
        match self.kind {
            FailureKind::CommandNotFound | FailureKind::NotFound => 127,
            _ => 126,
        }
    }
}

impl From<&RuntimeError> for Failure {
    fn from(error: &RuntimeError) -> Failure {
        let kind = match error.kind() {
            Kind::CommandNotFound => FailureKind::CommandNotFound,
            Kind::CommandNotRunnable => FailureKind::CommandNotExecutable,
            Kind::InvalidInput => FailureKind::InvalidInput,
            Kind::NotFound => FailureKind::NotFound,
            Kind::Conflict => FailureKind::Conflict,
            Kind::Unsupported => FailureKind::Unsupported,
            Kind::Failed => FailureKind::Other,
        };
        Failure { hint: error.hint().map(str::to_owned), ..Failure::of(kind, error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.because.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_causes_and_has_a_code() {
        let inner = std::io::Error::other("inner");
        let failure = Failure::doing("cannot start", &inner);
        assert_eq!(failure.to_string(), "cannot start: inner");
        assert_eq!(failure.exit_code(), 125);
        for (kind, code) in
            [(FailureKind::CommandNotFound, 127), (FailureKind::CommandNotExecutable, 126)]
        {
            assert_eq!(Failure::new(kind, "").exit_code(), code);
        }
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
        let newer = r#"{"kind":"of_tomorrow","message":"m"}"#;
        assert_eq!(serde_json::from_str::<Failure>(newer).unwrap().kind, FailureKind::Other);
    }
}
