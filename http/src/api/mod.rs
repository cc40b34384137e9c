//! The endpoints, one file for each noun.

mod rules;
pub mod service;

use crate::endpoint::Endpoint;

/// Every endpoint, in the order in which the documents show them.
pub fn endpoints() -> Vec<Endpoint> {
    [service::endpoints()].into_iter().flatten().collect()
}
