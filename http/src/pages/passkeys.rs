//! Passkeys on pages: signing in with one, and the page that adds one.

use askama::Template;
use garde::Validate;
use http::StatusCode;
use janua_actors::capability::passkeys::Signed;
use janua_actors::context::DeviceInfo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::faults::Faults;
use super::form::Form;
use super::frame::Frame;
use super::page::Page;
use super::sign_in;
use super::visit::parameter;
use crate::api::passkeys::{AttestedCredential, CreationOptions, Selection, SignedCredential};
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Input, Json};
use crate::output::{Data, Raw};

const PATH: &str = "/ui/passkeys";

/// The endpoints of the pages.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(post("/ui/sign-in/passkey", Access::Public, Limit::Authentication, log_in))
            .describes("Hosted page: sign in with what a passkey has signed")
            .refuses(&[
                Code::InsufficientPermissions,
                Code::InvalidCredentials,
                Code::TokenUsed,
                Code::AccountSuspended,
            ]),
        super::page(get(PATH, Access::Session, Limit::Api, show))
            .describes("Hosted page: the passkeys of the current user"),
        super::page(post(PATH, Access::Session, Limit::Api, add))
            .describes("Hosted page: add the passkey that an authenticator has made")
            .refuses(&[
                Code::InsufficientPermissions,
                Code::InvalidCredentials,
                Code::TokenUsed,
                Code::MfaRequired,
            ]),
        post("/ui/passkeys/begin", Access::Session, Limit::Api, begin)
            .describes("Start to add a passkey on the hosted page")
            .refuses(&[
                Code::InsufficientPermissions,
                Code::MfaRequired,
                Code::ReauthenticationRequired,
            ]),
    ]
}

#[derive(Template)]
#[template(path = "passkeys.html")]
struct Passkeys<'a> {
    page: &'a Frame,
    done: Option<&'static str>,
    known: Vec<String>,
}

/// What the forms post.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct CredentialForm {
    form_token: String,
    /// The credential, as JSON.
    credential: String,
}

async fn log_in(call: Call, Form(form): Form<CredentialForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, sign_in::PATH, &form.form_token).await?;
    let entered = match signed(&call, &form.credential) {
        Ok(signed) => {
            let (context, device) = (call.context(), DeviceInfo::default());
            let entering = page.owner.log_in_with_passkey(&context, &signed, &device);
            entering.await.map_err(Error::from)
        }
        Err(error) => Err(error),
    };
    match entered {
        Ok(entered) => page.entered(&call, entered).await,
        Err(error) => {
            let status = fails(&mut page, error)?;
            sign_in::render(&page, &call, status, "").await
        }
    }
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let page = Page::of(&call, PATH).await?;
    let done = parameter(&call.query, "done").map(|_| page.frame.t.passkey_added);
    render(&page, &call, StatusCode::OK, done).await
}

async fn begin(
    call: Call,
    Form(form): Form<CredentialForm>,
) -> Result<Data<CreationOptions>, Error> {
    Page::posted(&call, PATH, &form.form_token).await?;
    let caller = call.session()?;
    let begun =
        caller.tenant.begin_passkey_registration(&call.context(), caller, None, None).await?;
    Ok(Data(CreationOptions::of(begun, Selection::default())))
}

async fn add(call: Call, Form(form): Form<CredentialForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    match register(&call, &form.credential).await {
        Ok(()) => page.go_to_with(PATH, "done=1").map(Raw),
        Err(error) => {
            let status = fails(&mut page, error)?;
            render(&page, &call, status, None).await
        }
    }
}

async fn register(call: &Call, credential: &str) -> Result<(), Error> {
    let caller = call.session()?;
    let attested = read::<AttestedCredential>(call, credential)?.read()?;
    caller.tenant.complete_passkey_registration(&call.context(), caller, attested).await?;
    Ok(())
}

/// What a passkey has signed, as the script has put it into its form.
pub fn signed(call: &Call, credential: &str) -> Result<Signed, Error> {
    read::<SignedCredential>(call, credential)?.read()
}

fn read<T>(call: &Call, credential: &str) -> Result<T, Error>
where
    T: DeserializeOwned + Validate<Context = ()> + ToSchema + Send + 'static,
{
    Json::<T>::decode(call, credential.as_bytes()).map(|Json(value)| value)
}

/// Whatever is wrong with a passkey, its owner can only try again, or something else.
pub fn fails(page: &mut Page, error: Error) -> Result<StatusCode, Error> {
    let status = error.code().status();
    if status.is_server_error() {
        return Err(error);
    }
    let t = page.frame.t;
    page.frame.faults = match error.code() {
        Code::RateLimitExceeded => Faults::general(t.too_many),
        Code::AccountSuspended => Faults::general(page.frame.branded(t.suspended)),
        _ => Faults::general(t.passkey_failed),
    };
    Ok(status)
}

async fn render(
    page: &Page,
    call: &Call,
    status: StatusCode,
    done: Option<&'static str>,
) -> Result<Raw, Error> {
    let caller = call.session()?;
    let known = caller.tenant.passkeys(caller).await?;
    let known = known.into_iter().map(|passkey| passkey.name).collect();
    page.show(status, &Passkeys { page: &page.frame, done, known })
}
