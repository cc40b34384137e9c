//! Phone numbers: a code that shows who holds one.

use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json};
use crate::output::Done;

/// The endpoints for phone numbers.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/users/me/verify-phone/send", Access::Session, Limit::Authentication, send)
            .describes("Send a code to the current user's phone number; at most 5 an hour")
            .refuses(&[
                Code::ValidationError,
                Code::InsufficientPermissions,
                Code::RateLimitExceeded,
            ]),
        post("/users/me/verify-phone/confirm", Access::Session, Limit::Authentication, confirm)
            .describes("Verify the current user's phone number by the code that was sent to it"),
    ]
}

async fn send(call: Call, _: Empty) -> Result<Done, Error> {
    let caller = call.session()?;
    caller.tenant.send_phone_code(&call.context(), caller).await?;
    Ok(Done("Verification code sent"))
}

async fn confirm(call: Call, Json(body): Json<ConfirmPhoneRequest>) -> Result<Done, Error> {
    let caller = call.session()?;
    caller.tenant.confirm_phone(&call.context(), caller, &body.code).await?;
    Ok(Done("Phone number verified successfully"))
}

/// The code that was sent.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct ConfirmPhoneRequest {
    #[serde(default)]
    #[garde(custom(six_digits))]
    #[schema(required = true, pattern = "^[0-9]{6}$", example = "123456")]
    code: String,
}

fn six_digits(text: &str, _: &()) -> garde::Result {
    let formed = text.len() == 6 && text.bytes().all(|digit| digit.is_ascii_digit());
    if formed { Ok(()) } else { Err(garde::Error::new("must be 6 digits")) }
}
