//! A command of an ordinary user starts again in the namespace of users in which he is root.

use std::ffi::{CString, OsString};

use engine::{NAMESPACE_VARIABLE, Settings, Standing};
use runtime::RuntimeError;
use runtime::rootless::{Ids, Stay, enter as enter_namespace, start_again};

use crate::context::Context;
use crate::failure::Failure;

/// Comes back for root, inside the namespace, and where the machine allows no namespaces: there a
/// user has images and no containers.
pub(crate) fn enter(context: &Context, settings: &Settings) -> Result<(), Failure> {
    match settings.standing {
        Standing::Root => return Ok(()),
        Standing::Namespace { .. } => return stay(context),
        Standing::Ordinary => {}
    }
    settings.check_run_root()?;
    let mut ids = Ids::of_host();
    let own = ids.own();
    let mut entered = enter_namespace(&settings.run_root, &ids);
    if let Err(RuntimeError::NoHelper { .. } | RuntimeError::Helper { .. }) = &entered {
        // What was lent cannot be mapped. That there is one id is said when a container is made; why,
        // if it is not for want of the program, only here.
        if let Err(error @ RuntimeError::Helper { .. }) = &entered {
            context.ui.warn(&error.to_string());
        }
        ids = Ids::single(own.0, own.1);
        entered = enter_namespace(&settings.run_root, &ids);
    }
    match entered {
        Ok(stay) => Err(again(context, own, stay)),
        Err(RuntimeError::NoNamespace { .. }) => Ok(()),
        Err(error) => Err(engine::EngineError::from(error).into()),
    }
}

/// Whether root gave the command, not an ordinary user.
pub(crate) fn is_root(context: &Context) -> bool {
    Standing::of(context.environment()) == Standing::Root
}

/// Takes over what the program before this one held on to the namespace with.
fn stay(context: &Context) -> Result<(), Failure> {
    let number = context.variable(NAMESPACE_VARIABLE).and_then(|text| text.split(':').nth(2));
    if let Some(number) = number.and_then(|number| number.parse().ok()) {
        let stay = Stay::taken(number).map_err(engine::EngineError::from)?;
        // Until this process ends.
        std::mem::forget(stay);
    }
    Ok(())
}

fn again(context: &Context, (user, group): (u32, u32), stay: Stay) -> Failure {
    let start = || -> Result<RuntimeError, Failure> {
        let number = stay.hand_on().map_err(engine::EngineError::from)?;
        let string =
            |text: Vec<u8>| CString::new(text).map_err(|error| Failure::new(error.to_string()));
        let words = std::env::args_os().map(OsString::into_encoded_bytes).map(string);
        let words = words.collect::<Result<Vec<_>, _>>()?;
        let own = format!("{NAMESPACE_VARIABLE}={user}:{group}:{number}");
        let pairs = context.environment().iter().map(|(name, value)| format!("{name}={value}"));
        let environment = pairs
            .chain([own])
            .map(String::into_bytes)
            .map(string)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(start_again(&words, &environment))
    };
    match start() {
        Ok(error) => engine::EngineError::from(error).into(),
        Err(failure) => failure,
    }
}
