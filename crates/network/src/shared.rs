//! Configurations that networks share: a network that is nothing but one, and those made from it.

use crate::Networks;
use crate::create::NetworkRequest;
use crate::definition::{Driver, Network};
use crate::error::{NetworkError, Result};

impl NetworkRequest {
    /// Refuses what does not go together, in docker's words.
    pub(crate) fn check_sharing(&self) -> Result<()> {
        let forbidden = |words: &str| Err(NetworkError::Forbidden(words.to_owned()));
        if self.config_only && (self.internal || self.attachable) {
            return forbidden(
                "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
            );
        }
        if self.config_from.is_none() {
            return Ok(());
        }
        if self.config_only {
            return forbidden(
                "a configuration network cannot depend on another configuration network",
            );
        }
        if !self.pools.is_empty() || self.ipv6 || !self.ipv4 || !self.labels.is_empty() {
            return forbidden(
                "user specified configurations are not supported if the network depends on a configuration network",
            );
        }
        if !self.options.is_empty() {
            return forbidden(
                "network driver options are not supported if the network depends on a configuration network",
            );
        }
        Ok(())
    }
}

impl Networks {
    /// Takes over what the configuration has that a request names, if it names one.
    pub(crate) fn take_configuration(&self, request: &mut NetworkRequest) -> Result<()> {
        let Some(name) = &request.config_from else { return Ok(()) };
        let all = self.documents.networks()?;
        let found = all.into_iter().find(|it| it.config_only && it.name == *name);
        let found = found.ok_or_else(|| NetworkError::NoConfiguration(name.clone()))?;
        request.pools = found.pools;
        (request.ipv4, request.ipv6) = (found.ipv4, found.ipv6);
        (request.labels, request.options) = (found.labels, found.options);
        request.ipam_options = found.ipam_options;
        Ok(())
    }

    /// Refuses to remove a configuration that a network was made from.
    pub(crate) fn check_unused(&self, network: &Network) -> Result<()> {
        let is_user = |other: &Network| other.config_from.as_ref() == Some(&network.name);
        match network.config_only && self.documents.networks()?.iter().any(is_user) {
            true => Err(NetworkError::Forbidden(format!(
                "configuration network {:?} is in use",
                network.name
            ))),
            false => Ok(()),
        }
    }
}

impl Network {
    /// The same as a configuration: it has no driver, and nobody can be in it.
    pub(crate) fn into_configuration(self) -> Network {
        Network { driver: Driver::None, ..self }
    }

    /// Refuses whoever wants to be in a network that is only a configuration.
    pub fn check_joinable(&self) -> Result<()> {
        match self.config_only {
            true => Err(NetworkError::Forbidden(
                "cannot create endpoint on configuration-only network".to_owned(),
            )),
            false => Ok(()),
        }
    }
}
