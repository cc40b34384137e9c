//! The parameters of a request's query (URL Standard, `application/x-www-form-urlencoded`).

use http::Uri;
use url::form_urlencoded;

use crate::error::{Detail, Error};

/// One parameter, as an endpoint declares it.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether a request must have it.
    pub required: bool,
    /// One line for the documents.
    pub description: &'static str,
}

impl Parameter {
    /// A parameter that must be there.
    pub const fn required(name: &'static str, description: &'static str) -> Self {
        Self { name, required: true, description }
    }

    /// A parameter that may be there.
    pub const fn optional(name: &'static str, description: &'static str) -> Self {
        Self { name, required: false, description }
    }
}

/// What a request's query says. A parameter without a value counts as absent (RFC 6749 §3.1).
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// The query of `uri`.
    pub fn of(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The one value of `name`; two would be a chance for two readers to disagree.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() {
            return Err(Error::invalid(vec![Detail::new(name, "must be sent once")]));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// The same, where it must be there.
    pub fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name)?
            .ok_or_else(|| Error::invalid(vec![Detail::new(name, "is required in the query")]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_once() {
        let query = Query::of(&"/x?a=1&b=c%20d+e&f=&a=2".parse().unwrap());
        assert_eq!(query.get("b").unwrap(), Some("c d e"));
        assert_eq!(query.get("f").unwrap(), None);
        assert!(query.get("a").is_err());
        assert!(query.required("f").is_err() && query.required("g").is_err());
    }
}
