//! The mails of a deployment that has no mail server, for its operator to read.

use garde::Validate;
use janua_actors::mail::KeptMail;
use janua_storage::ids::{MailId, TenantId};
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get};
use crate::error::{Code, Error};
use crate::output::Data;
use crate::query::Query;
use crate::text;

/// How many mails a page holds unless it is said.
const USUAL_PAGE: u32 = 50;

/// The endpoints for the development outbox.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/admin/outbox", Access::Operator, Limit::Api, list)
            .describes(
                "List the mails that are kept while no mail server is configured, newest first",
            )
            .refuses(&[Code::ResourceNotFound]),
    ]
}

/// Which mails.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxQuery {
    /// Of this tenant alone.
    #[garde(skip)]
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    tenant_id: Option<String>,
    /// How many; 50 unless given.
    #[garde(inner(range(min = 1, max = 100)))]
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// How many to leave out.
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 4294967295_u32, default = 0, format = Int64)]
    offset: Option<u32>,
}

async fn list(call: Call, Query(query): Query<OutboxQuery>) -> Result<Data<Outbox>, Error> {
    let directory = call.app.directory()?;
    let tenant = match &query.tenant_id {
        Some(id) => {
            let id: TenantId = id.parse().map_err(|_| Error::not_found())?;
            Some(directory.tenant_by_id(&id).await?.ok_or_else(Error::not_found)?)
        }
        None => None,
    };
    let limit = query.limit.unwrap_or(USUAL_PAGE) as usize;
    let offset = query.offset.unwrap_or_default() as usize;
    let (mails, total) = directory.kept_mails(tenant.as_ref(), offset, limit).await?;
    let has_more = offset.saturating_add(mails.len()) < total;
    let mails = mails.into_iter().map(OutboxMail::from).collect();
    Ok(Data(Outbox { mails, total_count: total, has_more }))
}

/// A page of mails.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outbox {
    mails: Vec<OutboxMail>,
    total_count: usize,
    has_more: bool,
}

/// A mail.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxMail {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "mail_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: MailId,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "default")]
    tenant_id: TenantId,
    to: String,
    subject: String,
    text: String,
    html: String,
    /// Where it leads.
    links: Vec<String>,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
}

impl From<KeptMail> for OutboxMail {
    fn from(mail: KeptMail) -> Self {
        let KeptMail { id, tenant, to, subject, text, html, links, created } = mail;
        Self { id, tenant_id: tenant, to, subject, text, html, links, created_at: created }
    }
}
