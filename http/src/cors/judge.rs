//! By whose rules a page of another origin reads an answer: those of the tenant that the request
//! names, be it in a header or by a secret in its body, else those of the default tenant.
//!
//! Decision: a browser asks beforehand (preflight) without the headers and the body that name a
//! tenant. Where the request to come may be any tenant's, because there is no default, because a
//! header that names one is announced, or because the endpoint finds it in the body, the page may
//! send it, and the answer is judged by the tenant that it then names. Nothing is lost by that: what
//! a page sends carries no credential that it does not know.
//!
//! Decision: where a tenant's leader cannot be asked, this node's replica judges, so that a page can
//! read that the service is unavailable; it also lets pages ask, since the answer is the leader's.

use std::sync::Arc;

use http::header::ACCESS_CONTROL_REQUEST_METHOD;
use http::{HeaderMap, HeaderValue, Method};
use janua_actors::settings::Settings;

use super::{admit, is_admitted, is_preflight, let_ask, strike_unadmitted, will_name_a_tenant};
use crate::app::App;
use crate::asked::Asked;
use crate::caller;
use crate::forwarding::Route;
use crate::output::Response;
use crate::pages;
use crate::pipeline::Trail;

/// Lets a page read the answer if the rules say so.
pub(crate) async fn judge(
    app: &App,
    asked: &Asked,
    trail: &Trail<'_>,
    response: &mut Response,
) -> Result<(), Route> {
    let headers = response.headers_mut();
    let origin = match foreign_origin(asked) {
        Some(origin) if !is_admitted(headers) => origin,
        _ => {
            strike_unadmitted(headers);
            return Ok(());
        }
    };
    let asks = is_preflight(&asked.method, &asked.headers);
    let rules = rules(app, asked, trail).await;
    match &rules {
        Ok(Some(settings)) => admit(headers, origin, &settings.allowed_origins),
        Err(_) if !asks => {}
        Ok(None) | Err(_) => judge_as_followed(app, asked, headers),
    }
    if asks && !is_admitted(headers) && may_be_any_tenants(app, asked) {
        let_ask(headers, origin);
    }
    if let (Err(route), false) = (rules, is_admitted(headers)) {
        return Err(route);
    }
    strike_unadmitted(headers);
    Ok(())
}

/// The same for an answer that stands, whoever leads.
pub(crate) fn judge_at_last(app: &App, asked: &Asked, response: &mut Response) {
    judge_as_followed(app, asked, response.headers_mut());
    strike_unadmitted(response.headers_mut());
}

/// The same by what this node's replicas know, whoever leads.
pub(crate) fn judge_as_followed(app: &App, asked: &Asked, headers: &mut HeaderMap) {
    if let Some(origin) = foreign_origin(asked)
        && let Some(settings) = caller::followed_settings(app, &asked.headers)
    {
        admit(headers, origin, &settings.allowed_origins);
    }
}

/// The origin of the page that asks. Our own pages are nobody else's to read.
fn foreign_origin(asked: &Asked) -> Option<&HeaderValue> {
    let is_ours = asked.uri.path().starts_with(pages::PREFIX);
    super::origin(&asked.headers).filter(|_| !is_ours)
}

async fn rules(
    app: &App,
    asked: &Asked,
    trail: &Trail<'_>,
) -> Result<Option<Arc<Settings>>, Route> {
    let tenant = match trail.named.get().or(trail.tenant.as_ref()) {
        Some(tenant) => Some(tenant.clone()),
        None => caller::named_tenant(app, &asked.headers).await?,
    };
    match tenant {
        Some(tenant) => Ok(tenant.settings().await.ok()),
        None => Ok(None),
    }
}

fn may_be_any_tenants(app: &App, asked: &Asked) -> bool {
    let method = asked.headers.get(ACCESS_CONTROL_REQUEST_METHOD);
    let method = method.and_then(|name| Method::from_bytes(name.as_bytes()).ok());
    let by_its_body = method.is_some_and(|method| {
        let found = app.find(asked.door, &method, asked.uri.path());
        found.is_ok_and(|(endpoint, _)| endpoint.names_its_tenant)
    });
    !caller::claims_a_tenant(&asked.headers)
        && (app.settings.default_tenant.is_none()
            || will_name_a_tenant(&asked.headers)
            || by_its_body)
}
