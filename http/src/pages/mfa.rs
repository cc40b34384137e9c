//! The page that asks for the second factor.

use askama::Template;
use garde::Validate;
use http::StatusCode;
use janua_actors::capability::mfa::{Entered, Factor};
use janua_actors::capability::passkeys::Asked;
use janua_actors::context::DeviceInfo;
use janua_storage::capability::mfa::SecondFactor;
use janua_storage::secret::Secret;
use serde::Deserialize;
use utoipa::ToSchema;

use super::cookies::Cookie;
use super::form::Form;
use super::frame::Frame;
use super::notice::Link;
use super::outcome::second_factor;
use super::page::Page;
use super::passkeys::{self, signed};
use super::visit::parameter;
use crate::api::passkeys::RequestOptions;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::{Data, Raw};
use crate::rules;

const PATH: &str = "/ui/mfa";

/// The endpoints of the page.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(PATH, Access::Public, Limit::Free, show))
            .describes("Hosted page: show the second factor"),
        super::page(post(PATH, Access::Public, Limit::Authentication, answer))
            .describes("Hosted page: complete a login by the second factor")
            .refuses(&[
                Code::InsufficientPermissions,
                Code::InvalidMfaCode,
                Code::InvalidCredentials,
                Code::TokenUsed,
                Code::AccountLocked,
                Code::AccountSuspended,
            ]),
        post("/ui/mfa/passkey", Access::Public, Limit::Authentication, begin)
            .describes("Start to show a passkey as second factor on the hosted page")
            .refuses(&[Code::InsufficientPermissions, Code::TokenUsed]),
    ]
}

#[derive(Template)]
#[template(path = "mfa.html")]
struct Mfa<'a> {
    page: &'a Frame,
    method: SecondFactor,
    others: Vec<Link>,
}

/// What the form posts.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct SecondFactorForm {
    form_token: String,
    /// `totp`, `backup_code` or `passkey`.
    method: String,
    code: String,
    /// What a passkey has signed, as JSON.
    credential: String,
}

/// A first factor that was shown in this browser.
struct Pending {
    token: Secret,
    methods: Vec<SecondFactor>,
}

impl Pending {
    fn of(call: &Call) -> Option<Self> {
        let value = Cookie::SecondFactor.of(&call.app, &call.headers)?;
        let mut parts = value.split('.');
        let token = Secret::given(parts.next()?);
        let methods: Vec<_> = parts.filter_map(second_factor).collect();
        (!methods.is_empty()).then_some(Self { token, methods })
    }

    /// What to ask for: what was chosen, else what asks the least.
    fn method(&self, chosen: Option<&str>) -> SecondFactor {
        let usual = [SecondFactor::Passkey, SecondFactor::Totp, SecondFactor::BackupCode];
        let chosen = chosen.and_then(second_factor);
        let mut wanted = chosen.into_iter().chain(usual);
        wanted.find(|method| self.methods.contains(method)).unwrap_or(SecondFactor::Totp)
    }
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let page = Page::of(&call, PATH).await?;
    let Some(pending) = Pending::of(&call) else { return expired(&page, &call) };
    let chosen = parameter(&call.query, "method");
    render(&page, StatusCode::OK, &pending, pending.method(chosen.as_deref()))
}

async fn answer(call: Call, Form(form): Form<SecondFactorForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    let Some(pending) = Pending::of(&call) else { return expired(&page, &call) };
    let method = pending.method(Some(&form.method));
    match complete(&page, &call, &pending, method, &form).await {
        Ok(entered) => page.entered(&call, entered).await,
        // The login has been waiting for too long, or for too many codes.
        Err(error) if matches!(error.code(), Code::InvalidToken | Code::TokenUsed) => {
            expired(&page, &call)
        }
        Err(error) => {
            let status = match method {
                SecondFactor::Passkey => passkeys::fails(&mut page, error)?,
                _ => page.takes_fault(error)?,
            };
            render(&page, status, &pending, method)
        }
    }
}

async fn complete(
    page: &Page,
    call: &Call,
    pending: &Pending,
    method: SecondFactor,
    form: &SecondFactorForm,
) -> Result<Entered, Error> {
    let code = form.code.trim();
    let factor = match method {
        SecondFactor::Passkey => Factor::Passkey(Box::new(signed(call, &form.credential)?)),
        _ => {
            rules::check([("code", rules::code(code, &()))])?;
            let code = Secret::given(code);
            let is_totp = method == SecondFactor::Totp;
            if is_totp { Factor::Totp(code) } else { Factor::BackupCode(code) }
        }
    };
    let (context, device) = (call.context(), DeviceInfo::default());
    let completing =
        page.owner.log_in_with_second_factor(&context, &pending.token, factor, &device);
    Ok(Entered::SignedIn(completing.await?))
}

async fn begin(
    call: Call,
    Form(form): Form<SecondFactorForm>,
) -> Result<Data<RequestOptions>, Error> {
    let page = Page::posted(&call, PATH, &form.form_token).await?;
    let pending = Pending::of(&call).ok_or_else(Error::invalid_token)?;
    let asked = Asked::SecondFactor(pending.token);
    Ok(Data(page.owner.begin_passkey_login(&call.context(), asked).await?.into()))
}

fn render(
    page: &Page,
    status: StatusCode,
    pending: &Pending,
    method: SecondFactor,
) -> Result<Raw, Error> {
    let t = page.frame.t;
    let others = pending.methods.iter().filter(|other| **other != method).map(|other| {
        let label = match other {
            SecondFactor::Totp => t.mfa_use_totp,
            SecondFactor::BackupCode => t.mfa_use_backup,
            SecondFactor::Passkey => t.mfa_use_passkey,
        };
        let address = page.frame.visit.with(PATH, &format!("method={}", other.name()));
        Link { address, label: label.into() }
    });
    let others = others.collect();
    page.show(status, &Mfa { page: &page.frame, method, others })
}

fn expired(page: &Page, call: &Call) -> Result<Raw, Error> {
    let mut response = page.go_to("/ui/done/expired")?;
    Cookie::SecondFactor.clear(&call.app, &mut response);
    Ok(Raw(response))
}
