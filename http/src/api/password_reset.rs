//! A new password for who has forgotten the old one.

use garde::Validate;
use janua_actors::hashing::Plaintext;
use janua_actors::mail::Onward;
use janua_storage::secret::{Purpose, Secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::users::{PasswordChanged, about_the_new_one};
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, post};
use crate::error::{Code, Error};
use crate::input::Json;
use crate::limits::counted::Counted;
use crate::output::{Done, DoneWith};
use crate::rules;

/// The endpoints for forgotten passwords.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/password/forgot", Access::Public, Limit::Authentication, forgot).describes(
            "Send a mail that lets its reader set a new password, if there is an account",
        ),
        post("/auth/password/reset", Access::Public, Limit::Authentication, reset)
            .describes("Set a new password with the token of a mail; every session ends")
            .names_its_tenant()
            .refuses(&[
                Code::TokenUsed,
                Code::WeakPassword,
                Code::PasswordBreached,
                Code::AccountSuspended,
            ]),
    ]
}

/// The body of who has forgotten their password.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgotPasswordRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, max_length = 254, example = "user@example.com")]
    email: String,
}

/// A body that brings the token of a mail, and the new password.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetPasswordRequest {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "rst_1_…")]
    token: String,
    /// The policy of the tenant asks for more than the form: as shipped, 8 to 256 characters.
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password, min_length = 1, max_length = 4096, example = "NewPassword456!")]
    new_password: String,
}

async fn forgot(
    call: Call,
    Json(body): Json<ForgotPasswordRequest>,
) -> Result<Counted<Done>, Error> {
    let email = rules::address("email", &body.email)?;
    let sent = call.tenant()?.forgot_password(&call.context(), &email, &Onward::default()).await?;
    let done = Done("If the address has an account, a mail with a link is on its way");
    Ok(Counted(done, sent.level))
}

async fn reset(
    call: Call,
    Json(body): Json<ResetPasswordRequest>,
) -> Result<DoneWith<PasswordChanged>, Error> {
    let token = Secret::given(&body.token);
    let tenant = call.tenant_of(&token, Purpose::ResetToken).await?;
    let new = Plaintext::new(&body.new_password);
    let reset = tenant.reset_password(&call.context(), &token, new).await;
    let changed = PasswordChanged::of(reset.map_err(about_the_new_one)?);
    Ok(DoneWith("Password reset successfully", changed))
}
