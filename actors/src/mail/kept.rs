//! The mails that are kept because there is no server to send them: what the operator of a
//! development deployment reads, and what the log says of them.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use janua_storage::codec;
use janua_storage::ids::{MailId, ShardId, TenantId, TenantNumber};
use janua_storage::moment::Moment;
use janua_storage::outbox::Mail;
use janua_storage::view::View;
use serde::{Deserialize, Serialize};

use super::message::Message;
use super::render::{Rendered, render};
use crate::directory::{Directory, Node};
use crate::gateway::Kind;
use crate::home::Home;
use crate::refusal::Refusal;
use crate::tenant::{Shared, TenantRef};

/// Of so many mails another node may ask for the content at once.
const MOST: usize = 10_000;

/// A mail that nobody sends.
#[derive(Serialize, Deserialize)]
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

/// Some of the mails that are kept.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// The newest, newest first.
    mails: Vec<KeptMail>,
    /// How many there are.
    total: usize,
}

impl Kept {
    fn newest_first(&mut self) {
        self.mails.sort_by_key(|mail| Reverse((mail.created, mail.id)));
    }
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
        let (node, most) = (self.node(), offset.saturating_add(limit));
        let mut kept = match tenant {
            Some(tenant) => {
                let number = tenant.number();
                node.kept_here(node.shards.of(number), Some(number), most).await?
            }
            None => {
                let everywhere = node.shards.iter().map(|home| node.kept_in(home, most));
                let mut all = Kept::default();
                for kept in join_all(everywhere).await {
                    let Kept { mails, total } = kept?;
                    all.mails.extend(mails);
                    all.total += total;
                }
                all
            }
        };
        kept.newest_first();
        Ok((kept.mails.into_iter().skip(offset).take(limit).collect(), kept.total))
    }
}

impl Node {
    /// The newest mails of a shard, as its leader has them.
    async fn kept_in(self: &Arc<Self>, home: &Home, most: usize) -> Result<Kept, Refusal> {
        let question = codec::encode(&(home.id(), most))?;
        let here = || self.kept_here(home, None, most);
        let there = |answer: Bytes| match codec::decode::<Option<Kept>>(&answer)? {
            Some(kept) => Ok(kept),
            None => Err(home.elsewhere()),
        };
        self.ask_leader(home, (Kind::Outbox, question), here, there).await
    }

    /// The same, where this node leads the shard; of one tenant, or of all that it has.
    async fn kept_here(
        self: &Arc<Self>,
        home: &Home,
        tenant: Option<TenantNumber>,
        most: usize,
    ) -> Result<Kept, Refusal> {
        let records = home.read().await?;
        let tenants = match tenant {
            Some(tenant) => vec![tenant],
            None => View::new(&records, TenantNumber::CLUSTER).tenants_here()?,
        };
        let mut found: Vec<(TenantNumber, Mail)> = Vec::new();
        for number in tenants {
            let kept = View::new(&records, number).mails(true)?;
            found.extend(kept.into_iter().map(|mail| (number, mail)));
        }
        let mut kept = Kept { mails: Vec::new(), total: found.len() };
        found.sort_by_key(|(_, mail)| Reverse((mail.created, mail.id)));
        for (number, mail) in found.into_iter().take(most) {
            let Some(tenant) = View::new(&records, number).tenant()? else { continue };
            let id = tenant.id;
            let tenant = TenantRef(Shared::new(id.clone(), number, self.clone()));
            let Rendered { to, subject, text, html, link, .. } = tenant.rendered(&mail).await?;
            let (links, created) = (vec![link], mail.created);
            let mail =
                KeptMail { id: mail.id, tenant: id, to, subject, text, html, links, created };
            kept.mails.push(mail);
        }
        Ok(kept)
    }
}

/// Says which mails are kept in a shard that this node leads.
pub(crate) async fn answer(node: &Arc<Node>, question: &[u8]) -> Option<Vec<u8>> {
    let (shard, most): (ShardId, usize) = codec::decode(question).ok()?;
    let kept = node.kept_here(node.shards.get(shard)?, None, most.min(MOST)).await.ok();
    codec::encode(&kept).ok()
}

impl TenantRef {
    /// A mail of the outbox as it is to be read.
    pub(super) async fn rendered(&self, mail: &Mail) -> Result<Rendered, Refusal> {
        let held = self.held().await?;
        render(Message::open(&held.key, mail)?, &held.settings.mail)
    }
}
