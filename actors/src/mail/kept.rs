//! The mails that are kept because there is no server to send them: what the operator of a
//! development deployment reads, and what the log says of them.

use janua_storage::ids::{MailId, TenantId, TenantNumber};
use janua_storage::moment::Moment;
use janua_storage::outbox::Mail;
use janua_storage::view::View;

use super::message::Message;
use super::render::{Rendered, render};
use crate::directory::Directory;
use crate::refusal::Refusal;
use crate::tenant::{Held, TenantRef};

/// A mail that nobody sends.
pub struct KeptMail {
    /// Its id.
    pub id: MailId,
    /// Whose.
    pub tenant: TenantId,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The content as text.
    pub text: String,
    /// The content as HTML.
    pub html: String,
    /// Where it leads.
    pub links: Vec<String>,
    /// When it was written.
    pub created: Moment,
}

impl Directory {
    /// The mails that are kept, of all tenants (as far as this node has heard of them) or of one, newest first: `limit` of them from `offset`
    /// on, and how many there are.
    pub async fn kept_mails(
        &self,
        tenant: Option<&TenantRef>,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<KeptMail>, usize), Refusal> {
        let numbers = match tenant {
            Some(tenant) => vec![tenant.number()],
            None => self.tenant_numbers()?,
        };
        let mut mails: Vec<(TenantNumber, Mail)> = Vec::new();
        let of_one = numbers.len() == 1;
        for number in numbers {
            let home = self.node().shards.of(number);
            let led_elsewhere = !of_one && !home.is_leader();
            let records = if led_elsewhere { home.follow()? } else { home.read().await? };
            let kept = View::new(&records, number).mails(true)?;
            mails.extend(kept.into_iter().map(|mail| (number, mail)));
        }
        mails.sort_by_key(|(_, mail)| std::cmp::Reverse((mail.created, mail.id)));
        let total = mails.len();
        let mut shown = Vec::new();
        for (number, mail) in mails.into_iter().skip(offset).take(limit) {
            shown.extend(self.kept(number, &mail).await?);
        }
        Ok((shown, total))
    }

    fn tenant_numbers(&self) -> Result<Vec<TenantNumber>, Refusal> {
        let records = self.node().shards.of(TenantNumber::CLUSTER).follow()?;
        Ok(View::new(&records, TenantNumber::CLUSTER).tenant_numbers()?)
    }

    async fn kept(&self, number: TenantNumber, mail: &Mail) -> Result<Option<KeptMail>, Refusal> {
        let held = match self.led_here(number) {
            Ok(()) => match self.tenant(number).await? {
                Some(tenant) => Some(tenant.held().await?),
                None => None,
            },
            Err(_) => self.node().followed(number),
        };
        let Some(held) = held else { return Ok(None) };
        let Rendered { to, subject, text, html, link, .. } = rendered(&held, mail)?;
        Ok(Some(KeptMail {
            id: mail.id,
            tenant: held.tenant.id.clone(),
            to,
            subject,
            text,
            html,
            links: vec![link],
            created: mail.created,
        }))
    }
}

impl TenantRef {
    /// A mail of the outbox as it is to be read.
    pub(super) async fn rendered(&self, mail: &Mail) -> Result<Rendered, Refusal> {
        rendered(&*self.held().await?, mail)
    }
}

fn rendered(held: &Held, mail: &Mail) -> Result<Rendered, Refusal> {
    render(Message::open(&held.key, mail)?, &held.settings.mail)
}
