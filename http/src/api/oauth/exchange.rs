//! The codes by which a page picks up a login, or a link, that a redirect has completed.

use garde::Validate;
use janua_actors::pkce;
use janua_storage::secret::{Purpose, Secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answers::ExchangedLogIn;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, post};
use crate::error::{Code, Error};
use crate::input::Json;
use crate::output::Data;
use crate::rules;

/// The endpoint for codes.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/oauth/exchange", Access::Public, Limit::Authentication, exchange)
            .describes("Turn the one-time code of a redirect into the session that it stands for")
            .names_its_tenant()
            .refuses(&[
                Code::TokenUsed,
                Code::AccountSuspended,
                Code::AuthenticationRequired,
                Code::SessionRevoked,
                Code::IdentityAlreadyLinked,
            ]),
    ]
}

/// A body that shows a one-time code.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeRequest {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "code_1_…")]
    code: String,
    /// The verifier of the challenge that the login was asked for with (RFC 7636): there if, and only
    /// if, it was with one. Shown in vain it uses the code up, and ends the session that waits for it.
    #[serde(alias = "code_verifier")]
    #[garde(skip)]
    #[schema(min_length = 43, max_length = 128)]
    code_verifier: Option<String>,
}

async fn exchange(
    call: Call,
    Json(body): Json<ExchangeRequest>,
) -> Result<Data<ExchangedLogIn>, Error> {
    let code = Secret::given(&body.code);
    let tenant = call.tenant_of(&code, Purpose::Code).await?;
    let caller = call.session_if_shown().await?;
    let proof = pkce::proof(body.code_verifier.as_deref());
    Ok(Data(tenant.redeem(&call.context(), &code, proof, caller.as_ref()).await?.into()))
}
