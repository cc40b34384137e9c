//! A request on its way through the pipeline, wherever it came in.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Uri};
use janua_actors::context::Operation;

use crate::app::Door;

/// What is asked, but for the body.
pub(crate) struct Asked {
    /// By which door it came in.
    pub door: Door,
    pub method: Method,
    pub uri: Uri,
    pub headers: Arc<HeaderMap>,
    /// The client's address, as the node found it that received the request.
    pub client: IpAddr,
    pub request_id: HeaderValue,
    /// What tells it from every other request of the cluster, where there are several nodes.
    pub operation: Option<Operation>,
}
