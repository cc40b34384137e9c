//! What a login leads to: the application that it was for, the account page, or a second factor.

use http::header::REFRESH;
use http::{HeaderValue, StatusCode};
use janua_actors::capability::mfa::{Challenged, Entered};
use janua_actors::capability::sessions::Tokens;
use janua_actors::directory;
use janua_actors::redirect::ReturnUrl;
use janua_storage::capability::mfa::SecondFactor;
use janua_storage::ids::{SessionId, UserId};
use url::Url;

use super::cookies::Cookie;
use super::notice::{Link, Notice};
use super::page::Page;
use super::texts::fill;
use crate::call::Call;
use crate::error::{Code, Error};
use crate::output::Raw;

impl Page {
    /// What a first factor, or the second, has led to.
    pub async fn entered(&self, call: &Call, entered: Entered) -> Result<Raw, Error> {
        match entered {
            Entered::SignedIn(signed_in) => {
                let user = signed_in.profile.id;
                self.signed_in(call, user, signed_in.session, &signed_in.tokens).await
            }
            Entered::Challenged(challenged) => self.challenged(call, &challenged),
        }
    }

    /// A session has begun.
    pub async fn signed_in(
        &self,
        call: &Call,
        user: UserId,
        session: SessionId,
        tokens: &Tokens,
    ) -> Result<Raw, Error> {
        let links = self.frame.visit.provider.is_some();
        let Some(redirect) = self.frame.visit.redirect.as_ref().filter(|_| !links) else {
            // Whoever signs in to link a provider does that before they go on.
            let mut response = self.go_to(if links { "/ui/link" } else { "/ui/account" })?;
            let now = call.app.services.clock.now();
            let seconds = tokens.expires.since(now).as_secs();
            Cookie::Session.set(&call.app, &mut response, &tokens.access_token, seconds);
            Cookie::SecondFactor.clear(&call.app, &mut response);
            return Ok(Raw(response));
        };
        let Raw(mut response) = self.hand_over(call, redirect, user, session).await?;
        Cookie::SecondFactor.clear(&call.app, &mut response);
        Ok(Raw(response))
    }

    /// Leads to the application, which takes the session over by a code.
    pub async fn hand_over(
        &self,
        call: &Call,
        redirect: &ReturnUrl,
        user: UserId,
        session: SessionId,
    ) -> Result<Raw, Error> {
        let challenge = self.frame.visit.challenge;
        let code = self.owner.hand_over(&call.context(), user, session, challenge).await?;
        let end = self.frame.visit.end(&code).ok_or_else(Error::internal)?;
        let t = self.frame.t;
        self.leave(t.leaving_title, t.leaving_lead, redirect.as_str(), end)
    }

    /// The same with the session that the browser has kept until now. One that an application has taken
    /// over already is not the browser's to give away: its visitor signs in anew.
    pub async fn hand_over_own(
        &self,
        call: &Call,
        redirect: &ReturnUrl,
        caller: &directory::Caller,
    ) -> Result<Raw, Error> {
        let handed = self.hand_over(call, redirect, caller.user(), caller.session()).await;
        let mut response = match handed {
            Ok(Raw(response)) => response,
            Err(error) if error.code() == Code::InvalidToken => self.go_to("/ui/sign-in")?,
            Err(error) => return Err(error),
        };
        Cookie::Session.clear(&call.app, &mut response);
        Ok(Raw(response))
    }

    /// Leads the browser to another site. A form's answer that redirected there would be held
    /// against `form-action`, with every hop that follows; so this is a page of its own, which leads
    /// on at once and without a script (WCAG 2.2, technique G110).
    pub fn leave(
        &self,
        title: &str,
        lead: &str,
        site: &str,
        address: String,
    ) -> Result<Raw, Error> {
        let t = self.frame.t;
        let host = Url::parse(site).ok();
        let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let refresh = HeaderValue::try_from(format!("0;url={address}"));
        let link = Link { address, label: t.continue_.into() };
        let lead = fill(lead, "host", &host);
        let page = Notice::new(&self.frame, title, [lead]).with(link);
        let Raw(mut response) = self.show(StatusCode::OK, &page)?;
        response.headers_mut().insert(REFRESH, refresh.map_err(|_| Error::internal())?);
        Ok(Raw(response))
    }

    fn challenged(&self, call: &Call, challenged: &Challenged) -> Result<Raw, Error> {
        let mut response = self.go_to("/ui/mfa")?;
        let names: Vec<_> = challenged.methods.iter().map(|method| method.name()).collect();
        let value = format!("{}.{}", challenged.temp_token.expose(), names.join("."));
        let seconds = challenged.expires.since(call.app.services.clock.now()).as_secs();
        Cookie::SecondFactor.set(&call.app, &mut response, &value, seconds);
        Ok(Raw(response))
    }
}

/// The second factors by the names that clients use.
pub fn second_factor(name: &str) -> Option<SecondFactor> {
    let known = [SecondFactor::Totp, SecondFactor::BackupCode, SecondFactor::Passkey];
    known.into_iter().find(|factor| factor.name() == name)
}
