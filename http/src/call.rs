//! What a handler knows of its request.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::app::App;
use crate::caller::Caller;
use crate::error::Error;
use crate::router::Parameters;

/// A request that has passed the pipeline.
pub struct Call {
    /// The floor itself.
    pub app: Arc<App>,
    /// Who calls.
    pub caller: Caller,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The path's parameters.
    pub parameters: Parameters,
    /// The client's address.
    pub client: IpAddr,
    /// The request's id.
    pub request_id: HeaderValue,
    /// When the answer is no longer wanted.
    pub deadline: Instant,
}

impl Call {
    /// A parameter of the path; what is not of its form names nothing.
    pub fn parameter<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let text = self.parameters.get(name).ok_or_else(Error::not_found)?;
        text.parse().map_err(|_| Error::not_found())
    }
}
