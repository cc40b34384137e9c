//! The floor's state: settings, routes, limits, and the handles that the program gives it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method};
use janua_actors::clock::SharedClock;
use janua_actors::context::Operation;
use janua_actors::directory::Directory;
use janua_actors::gateway::Gateway;
use janua_storage::ids::RequestId;
use janua_storage::membership::Membership;
use metrics::Gauge;

use crate::api::service::Documents;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::forwarding::Colleague;
use crate::limits::Limits;
use crate::limits::ticks::Ticks;
use crate::router::{InvalidRoutes, Parameters, Router};
use crate::settings::Settings;

/// When a client should ask a starting node again.
const STARTING: Duration = Duration::from_secs(1);

/// What the program gives this floor to work with.
pub struct Services {
    /// The program's clock.
    pub clock: SharedClock,
    /// Why this node cannot serve now; empty when it can.
    pub unready: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The metrics, as Prometheus reads them.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// Which listener a request came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The one for clients.
    Public,
    /// The one for operators, when there is one.
    Admin,
}

/// The state that all requests share.
pub struct App {
    /// The settings.
    pub settings: Settings,
    /// The program's handles.
    pub services: Services,
    /// The buckets.
    pub limits: Limits,
    pub(crate) node: HeaderValue,
    pub(crate) https: bool,
    pub(crate) in_flight: Gauge,
    pub(crate) documents: OnceLock<Documents>,
    directory: OnceLock<Directory>,
    membership: OnceLock<Arc<Membership>>,
    public: Router,
    admin: Router,
    stopping: AtomicBool,
}

impl App {
    /// The floor with the endpoints that `api` declares. A metrics recorder, if there is to be one,
    /// must be installed before.
    pub fn new(settings: Settings, services: Services) -> Result<Arc<Self>, InvalidRoutes> {
        Self::with_endpoints(settings, services, crate::api::endpoints())
    }

    /// The floor with other endpoints.
    pub fn with_endpoints(
        settings: Settings,
        services: Services,
        endpoints: Vec<Endpoint>,
    ) -> Result<Arc<Self>, InvalidRoutes> {
        let apart = |endpoint: &Endpoint| settings.separate_admin && endpoint.is_administrative();
        let (admin, public) = endpoints.into_iter().partition(apart);
        Ok(Arc::new(Self {
            limits: Limits::new(&settings.rates, Ticks::of(services.clock.clone())),
            node: HeaderValue::from_str(&settings.node_name)
                .unwrap_or(HeaderValue::from_static("unnamed")),
            https: settings.is_https(),
            in_flight: metrics::gauge!("janua_http_requests_in_flight"),
            documents: OnceLock::new(),
            directory: OnceLock::new(),
            membership: OnceLock::new(),
            public: Router::new(public)?,
            admin: Router::new(admin)?,
            stopping: AtomicBool::new(false),
            settings,
            services,
        }))
    }

    /// Lets requests through to the actors. Until then only what belongs to no tenant is served, so
    /// that a node can say that it is alive while it still reads its data.
    pub fn open(self: &Arc<Self>, directory: Directory) {
        if let Some(gateway) = directory.gateway() {
            gateway.serve(Arc::new(Colleague::of(self)));
        }
        self.directory.set(directory).ok();
    }

    /// Lets the operator ask for the cluster.
    pub fn belong_to(&self, membership: Arc<Membership>) {
        self.membership.set(membership).ok();
    }

    /// The cluster that this node belongs to.
    pub fn membership(&self) -> Result<&Arc<Membership>, Error> {
        let starting = || Error::unavailable("The node is starting; try again shortly", STARTING);
        self.membership.get().ok_or_else(starting)
    }

    /// Where tenants are found.
    pub fn directory(&self) -> Result<&Directory, Error> {
        let starting = || Error::unavailable("The node is starting; try again shortly", STARTING);
        self.directory.get().ok_or_else(starting)
    }

    /// A new id for a request.
    pub(crate) fn request_id(&self) -> String {
        let (unix_ms, random) = self.services.clock.id_bits();
        RequestId::new(unix_ms, random).to_string()
    }

    /// A new operation id, where there are other nodes.
    pub(crate) fn operation(&self) -> Option<Operation> {
        self.directory.get().and_then(Directory::gateway).and_then(Gateway::operation)
    }

    /// The routes behind a door.
    pub fn router(&self, door: Door) -> &Router {
        match door {
            Door::Public => &self.public,
            Door::Admin => &self.admin,
        }
    }

    /// The endpoint of a request. The operator acts for tenants behind their own door, when there is one.
    pub fn find(
        &self,
        door: Door,
        method: &Method,
        path: &str,
    ) -> Result<(&Endpoint, Parameters), Error> {
        let found = self.router(door).find(method, path);
        match (door, found) {
            (Door::Admin, Err(absent)) => match self.public.find(method, path) {
                Ok(found) if found.0.is_for_a_tenant() => Ok(found),
                _ => Err(self.allow(door, path).map_or(absent, Error::method_not_allowed)),
            },
            (_, found) => found,
        }
    }

    /// The methods that a path has behind a door, if it has any there.
    pub fn allow(&self, door: Door, path: &str) -> Option<HeaderValue> {
        match (self.router(door).path(path), door) {
            (Some(found), _) => Some(found.allow.clone()),
            (None, Door::Admin) => self.public.path(path)?.allow_on_behalf.clone(),
            (None, Door::Public) => None,
        }
    }

    /// Whether operators are let in by a door: by their own alone, when there is one.
    pub fn lets_operators_in(&self, door: Door) -> bool {
        door == Door::Admin || !self.settings.separate_admin
    }

    /// All endpoints, behind whichever door.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.public.endpoints().iter().chain(self.admin.endpoints())
    }

    /// Why this node should get no requests; empty when it should.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = (self.services.unready)();
        reasons.extend(self.membership.get().and_then(|membership| membership.problem()));
        match self.directory.get() {
            None => reasons.push("the node is starting".into()),
            Some(directory) => reasons.extend(directory.gateway().and_then(Gateway::problem)),
        }
        if self.stopping.load(Ordering::Relaxed) {
            reasons.push("the node is stopping".into());
        }
        reasons
    }

    pub(crate) fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
