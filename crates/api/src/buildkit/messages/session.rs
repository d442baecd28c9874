//! What a client's session serves: credentials, secrets, agents.

use prost::Message;

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct CredentialsRequest {
    #[prost(string, tag = "1")]
    pub(crate) host: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct CredentialsResponse {
    #[prost(string, tag = "1")]
    pub(crate) username: String,
    #[prost(string, tag = "2")]
    pub(crate) secret: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FetchTokenRequest {
    #[prost(string, tag = "1")]
    pub(crate) client: String,
    #[prost(string, tag = "2")]
    pub(crate) host: String,
    #[prost(string, tag = "3")]
    pub(crate) realm: String,
    #[prost(string, tag = "4")]
    pub(crate) service: String,
    #[prost(string, repeated, tag = "5")]
    pub(crate) scopes: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FetchTokenResponse {
    #[prost(string, tag = "1")]
    pub(crate) token: String,
    /// In seconds; 0 if that is not known.
    #[prost(int64, tag = "2")]
    pub(crate) expires_in: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetSecretRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct GetSecretResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct CheckAgentRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}
