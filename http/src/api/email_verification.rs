//! Showing that one reads mail at one's address.

use garde::Validate;
use janua_actors::capability::email_verification::Shown;
use janua_actors::mail::Onward;
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
            .describes(
                "Verify an address with the token of a mail, without having to be signed in; an access \
                 token of its account shows that both are in one hand",
            )
            .names_its_tenant()
            .refuses(&[Code::TokenUsed]),
        post("/auth/verify-email/send", Access::Public, Limit::Authentication, ask).describes(
            "Send a mail that verifies an address, if its account needs one, without being signed in",
        ),
        post("/auth/verify-email/disown", Access::Public, Limit::Authentication, disown)
            .describes(
                "Take from the account of an address what somebody else has set up in it, with the \
                 token of a mail: before the address is confirmed, within 7 days of a confirmation \
                 without a session of the account, or while a second factor keeps its owner out",
            )
            .names_its_tenant()
            .refuses(&[Code::TokenUsed]),
    ]
}

/// A body that says whose address is to be verified.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskVerificationRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, max_length = 254, example = "user@example.com")]
    email: String,
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
    caller.tenant.confirm_own_email(&call.context(), &token, caller).await?;
    Ok(VERIFIED)
}

async fn ask(call: Call, Json(body): Json<AskVerificationRequest>) -> Result<Counted<Done>, Error> {
    let email = rules::address("email", &body.email)?;
    let onward = Onward::default();
    let sent = call.tenant()?.ask_for_verification(&call.context(), &email, &onward).await?;
    Ok(Counted(Done("Verification email sent"), sent.level))
}

async fn disown(call: Call, Json(body): Json<VerifyEmailRequest>) -> Result<Done, Error> {
    let token = Secret::given(&body.token);
    let tenant = call.tenant_of(&token, Purpose::EmailToken).await?;
    tenant.disown(&call.context(), &token).await?;
    Ok(Done("Account disowned successfully"))
}

async fn confirm_unsigned(call: Call, Json(body): Json<VerifyEmailRequest>) -> Result<Done, Error> {
    let token = Secret::given(&body.token);
    let tenant = call.tenant_of(&token, Purpose::EmailToken).await?;
    let session = call.session_if_shown().await?;
    let shown = session.as_ref().map_or(Shown::Nothing, Shown::Session);
    tenant.confirm_email(&call.context(), &token, shown).await?;
    Ok(VERIFIED)
}
