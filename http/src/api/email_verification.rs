//! Showing that one reads mail at one's address.

use garde::Validate;
use janua_storage::secret::{Purpose, Secret};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json};
use crate::limits::counted::Counted;
use crate::output::Done;
use crate::rules;

/// The endpoints for verifying addresses.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/users/me/verify-email/send", Access::Session, Limit::Api, send)
            .describes("Send the current user a mail that verifies their address"),
        post("/users/me/verify-email/confirm", Access::Session, Limit::Api, confirm)
            .describes("Verify the current user's address with the token of a mail")
            .refuses(&[Code::TokenUsed]),
        post("/auth/verify-email", Access::Public, Limit::Authentication, confirm_unsigned)
            .describes("Verify an address with the token of a mail, without being signed in")
            .names_its_tenant()
            .refuses(&[Code::TokenUsed]),
    ]
}

/// A body that brings the token of a mail.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifyEmailRequest {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "evt_1_…")]
    token: String,
}

const VERIFIED: Done = Done("Email verified successfully");

async fn send(call: Call, _: Empty) -> Result<Counted<Done>, Error> {
    let caller = call.session()?;
    let sent = caller.tenant.send_verification(&call.context(), caller).await?;
    Ok(Counted(Done("Verification email sent"), sent.level))
}

async fn confirm(call: Call, Json(body): Json<VerifyEmailRequest>) -> Result<Done, Error> {
    let caller = call.session()?;
    let token = Secret::given(&body.token);
    caller.tenant.confirm_email(&call.context(), &token, Some(caller)).await?;
    Ok(VERIFIED)
}

async fn confirm_unsigned(call: Call, Json(body): Json<VerifyEmailRequest>) -> Result<Done, Error> {
    let token = Secret::given(&body.token);
    let tenant = call.tenant_of(&token, Purpose::EmailToken).await?;
    tenant.confirm_email(&call.context(), &token, None).await?;
    Ok(VERIFIED)
}
