//! What a container gets from its image where nothing else was asked for. Docker's rules.

use spec::{ContainerConfig, Healthcheck};

/// A container's configuration on top of its image's.
pub(super) fn with_image(asked: ContainerConfig, image: ContainerConfig) -> ContainerConfig {
    let mut config = asked;
    let text = |own: &mut String, inherited: String| {
        if own.is_empty() {
            *own = inherited;
        }
    };
    text(&mut config.user, image.user);
    text(&mut config.working_dir, image.working_dir);
    text(&mut config.stop_signal, image.stop_signal);
    config.exposed_ports.extend(image.exposed_ports);
    config.volumes.extend(image.volumes);
    for (name, value) in image.labels {
        config.labels.entry(name).or_insert(value);
    }
    config.env = environment(config.env, image.env);
    config.shell = config.shell.or(image.shell);
    config.stop_timeout = config.stop_timeout.or(image.stop_timeout);
    config.on_build = image.on_build;
    // A new entry point takes the image's arguments away with the image's entry point.
    if config.entrypoint.is_none() {
        config.cmd = config.cmd.or(image.cmd);
        config.entrypoint = image.entrypoint;
    }
    let nothing = |words: &Vec<String>| words.iter().all(String::is_empty);
    config.entrypoint = config.entrypoint.filter(|words| !nothing(words));
    config.cmd = config.cmd.filter(|words| !words.is_empty());
    config.healthcheck = health(config.healthcheck, image.healthcheck);
    config
}

/// Variables that were asked for, then the image's that were not. A name alone takes the image's
/// away.
fn environment(asked: Vec<String>, image: Vec<String>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let taken: Vec<String> = asked.iter().map(|variable| name(variable)).collect();
    let inherited = image.into_iter().filter(|variable| !taken.contains(&name(variable)));
    let own = asked.iter().filter(|variable| variable.contains('=')).cloned();
    own.chain(inherited).collect()
}

fn health(asked: Option<Healthcheck>, image: Option<Healthcheck>) -> Option<Healthcheck> {
    let (Some(mut own), Some(image)) = (asked.clone(), image.clone()) else {
        return asked.or(image);
    };
    if own.test.is_empty() {
        own.test = image.test;
    }
    let pairs = [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ];
    for (own, inherited) in pairs {
        if *own == 0 {
            *own = inherited;
        }
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(ToString::to_string).collect())
    }

    fn image() -> ContainerConfig {
        ContainerConfig {
            entrypoint: words(&["/entry"]),
            cmd: words(&["serve"]),
            env: vec!["PATH=/bin".to_owned(), "A=1".to_owned()],
            user: "web".to_owned(),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn a_command_keeps_the_entry_point_and_a_new_entry_point_drops_the_command() {
        let asked = ContainerConfig { cmd: words(&["sh"]), ..ContainerConfig::default() };
        let merged = with_image(asked, image());
        assert_eq!((merged.entrypoint, merged.cmd), (words(&["/entry"]), words(&["sh"])));
        let asked =
            ContainerConfig { entrypoint: words(&["/bin/x"]), ..ContainerConfig::default() };
        let merged = with_image(asked, image());
        assert_eq!((merged.entrypoint, merged.cmd), (words(&["/bin/x"]), None));
        let asked = ContainerConfig {
            entrypoint: words(&[""]),
            cmd: words(&["sh"]),
            ..ContainerConfig::default()
        };
        let merged = with_image(asked, image());
        assert_eq!((merged.entrypoint, merged.cmd), (None, words(&["sh"])));
    }

    #[test]
    fn variables_of_the_image_come_behind_and_can_be_taken_away() {
        let env = vec!["B=2".to_owned(), "A=3".to_owned(), "PATH".to_owned()];
        let asked = ContainerConfig { env, ..ContainerConfig::default() };
        assert_eq!(with_image(asked, image()).env, ["B=2", "A=3"]);
        assert_eq!(with_image(ContainerConfig::default(), image()).env, ["PATH=/bin", "A=1"]);
    }
}
