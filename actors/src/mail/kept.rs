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
use crate::tenant::TenantRef;

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
    /// The mails that are kept, of all tenants or of one, newest first: `limit` of them from `offset`
    /// on, and how many there are.
    pub async fn kept_mails(
        &self,
        tenant: Option<&TenantRef>,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<KeptMail>, usize), Refusal> {
        let numbers = match tenant {
            Some(tenant) => vec![tenant.number()],
            None => self.tenant_numbers().await?,
        };
        let mut mails: Vec<(TenantNumber, Mail)> = Vec::new();
        for number in numbers {
            let records = self.node().shards.of(number).read().await?;
            let kept = View::new(&records, number).mails(true)?;
            mails.extend(kept.into_iter().map(|mail| (number, mail)));
        }
        mails.sort_by_key(|(_, mail)| std::cmp::Reverse((mail.created, mail.id)));
        let total = mails.len();
        let mut shown = Vec::new();
        for (number, mail) in mails.into_iter().skip(offset).take(limit) {
            if let Some(tenant) = self.tenant(number).await? {
                shown.push(tenant.kept(&mail).await?);
            }
        }
        Ok((shown, total))
    }

    async fn tenant_numbers(&self) -> Result<Vec<TenantNumber>, Refusal> {
        let records = self.node().shards.of(TenantNumber::CLUSTER).read().await?;
        Ok(View::new(&records, TenantNumber::CLUSTER).tenant_numbers()?)
    }
}

impl TenantRef {
    async fn kept(&self, mail: &Mail) -> Result<KeptMail, Refusal> {
        let Rendered { to, subject, text, html, link, .. } = self.rendered(mail).await?;
        Ok(KeptMail {
            id: mail.id,
            tenant: self.id().clone(),
            to,
            subject,
            text,
            html,
            links: vec![link],
            created: mail.created,
        })
    }

    /// A mail of the outbox as it is to be read.
    pub(super) async fn rendered(&self, mail: &Mail) -> Result<Rendered, Refusal> {
        let held = self.held().await?;
        render(Message::open(&held.key, mail)?, &held.settings.mail)
    }
}
