//! What the distribution specification demands, asked of our registry and of docker's, so that the
//! questions are proven too. Names say the endpoint in the specification's own numbers.

mod blobs;
mod lists;
mod manifests;
mod uploads;

/// Makes of each function a test of our registry, in a folder and in an object store, and one of
/// docker's.
macro_rules! conform {
    ($($name:ident),* $(,)?) => {
        mod ours {
            $(#[test] fn $name() { super::$name(&$crate::server::Registry::ours()); })*
        }
        mod ours_in_objects {
            $(#[test] fn $name() { super::$name(&$crate::server::Registry::objects()); })*
        }
        mod dockers {
            $(#[test] fn $name() {
                match $crate::server::Registry::dockers() {
                    Some(registry) => super::$name(&registry),
                    None => testkit::skip("needs docker-registry"),
                }
            })*
        }
    };
}
pub(crate) use conform;

/// Leaves the test, counted as skipped, where a registry lacks a feature.
macro_rules! need {
    ($registry:expr, $feature:ident) => {
        if !$registry.has($crate::server::Feature::$feature) {
            return testkit::skip(concat!("docker's registry lacks ", stringify!($feature)));
        }
    };
}
pub(crate) use need;
