//! Every rule of the module's page, and everything that is refused.
