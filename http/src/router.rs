//! From method and path to the endpoint.

use http::{HeaderValue, Method};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// The values of a path's parameters.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(Box<str>, Box<str>)>);

impl Parameters {
    /// The text in the place of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }
}

/// The endpoints of one path.
pub struct Path {
    methods: Vec<(Method, usize)>,
    /// The methods as the `Allow` header lists them.
    pub allow: HeaderValue,
    /// The same for those alone that operators use on a tenant's behalf, if there are any.
    pub allow_on_behalf: Option<HeaderValue>,
}

/// Endpoints by path and method.
#[derive(Default)]
pub struct Router {
    paths: matchit::Router<Path>,
    endpoints: Vec<Endpoint>,
}

/// A list of endpoints that contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRoutes {
    /// Two endpoints with the same method and path.
    #[error("{0} {1} is declared twice")]
    Twice(Method, &'static str),
    /// Two paths of which neither is more exact.
    #[error("{0}: {1}")]
    Conflict(&'static str, matchit::InsertError),
}

impl Router {
    /// A router for these endpoints.
    pub fn new(endpoints: Vec<Endpoint>) -> Result<Self, InvalidRoutes> {
        let mut paths: Vec<(&'static str, Vec<(Method, usize)>)> = Vec::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            let known = paths.iter_mut().find(|(path, _)| *path == endpoint.path);
            let entry = (endpoint.method.clone(), index);
            match known {
                Some((_, methods)) if methods.iter().any(|(method, _)| *method == entry.0) => {
                    return Err(InvalidRoutes::Twice(entry.0, endpoint.path));
                }
                Some((_, methods)) => methods.push(entry),
                None => paths.push((endpoint.path, vec![entry])),
            }
        }
        let mut router = matchit::Router::new();
        for (path, methods) in paths {
            let spends = methods.iter().any(|(_, index)| endpoints[*index].spends);
            let (mut on_behalf, with_head) = (methods.clone(), !spends);
            on_behalf.retain(|(_, index)| endpoints[*index].is_for_a_tenant());
            let has_methods = Path {
                allow: allow(&methods, with_head),
                allow_on_behalf: (!on_behalf.is_empty()).then(|| allow(&on_behalf, with_head)),
                methods,
            };
            router
                .insert(path, has_methods)
                .map_err(|error| InvalidRoutes::Conflict(path, error))?;
        }
        Ok(Self { paths: router, endpoints })
    }

    /// The endpoint of a request, with its path's parameters; `HEAD` finds the `GET`, unless that
    /// spends something.
    pub fn find(&self, method: &Method, path: &str) -> Result<(&Endpoint, Parameters), Error> {
        let found = self.paths.at(path).map_err(|_| Error::not_found())?;
        let is_head = *method == Method::HEAD;
        let method = if is_head { &Method::GET } else { method };
        let index =
            found.value.methods.iter().find(|(known, index)| {
                known == method && !(is_head && self.endpoints[*index].spends)
            });
        let Some((_, index)) = index else {
            return Err(Error::method_not_allowed(found.value.allow.clone()));
        };
        let own = |(name, value): (&str, &str)| (name.into(), value.into());
        let parameters = Parameters(found.params.iter().map(own).collect());
        Ok((&self.endpoints[*index], parameters))
    }

    /// What a path has, whatever the method.
    pub fn path(&self, path: &str) -> Option<&Path> {
        self.paths.at(path).ok().map(|found| found.value)
    }

    /// All endpoints, in the order of their declaration.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

fn allow(methods: &[(Method, usize)], with_head: bool) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    if with_head && names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    // Method names are visible ASCII, which every header may hold.
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}
