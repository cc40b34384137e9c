//! Queries. A view reads the records of one tenant and cannot write.

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;

use crate::capability::api_keys::{ApiKey, Usage};
use crate::capability::audit::{Epoch, Head};
use crate::capability::email_verification::Contest;
use crate::capability::mfa::Factors;
use crate::capability::oauth::Identity;
use crate::capability::passkeys::{Passkey, Place};
use crate::capability::passwords::Lockout;
use crate::capability::phones::{PhoneCode, TextMessage};
use crate::capability::sessions::{Ended, RefreshToken, Session};
use crate::capability::tenants::{Cluster, SigningKey, Tenant, Unsettled};
use crate::capability::users::{Forgetting, User};
use crate::codec;
use crate::event::Event;
use crate::fault::Fault;
use crate::idempotency;
use crate::ids::{ApiKeyId, MailId, MessageId, SessionId, TenantId, TenantNumber, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::one_time::OneTime;
use crate::outbox::Mail;
use crate::records::Records;
use crate::secret::SecretHash;

/// The records of one tenant, read only.
#[derive(Clone, Copy)]
pub struct View<'a> {
    records: &'a dyn Records,
    tenant: TenantNumber,
}

impl<'a> View<'a> {
    /// The records of `tenant` among those of its shard.
    pub fn new(records: &'a dyn Records, tenant: TenantNumber) -> Self {
        Self { records, tenant }
    }

    /// The tenant itself.
    pub fn tenant(&self) -> Result<Option<Tenant>, Fault> {
        self.get(&keys::single(self.tenant, Kind::Tenant))
    }

    /// Every signing key whose tokens may still be valid, oldest first.
    pub fn signing_keys(&self) -> Result<Vec<SigningKey>, Fault> {
        self.list(&keys::range(self.tenant, Kind::SigningKey))
    }

    /// The API key with this hash.
    pub fn api_key(&self, hash: &SecretHash) -> Result<Option<ApiKey>, Fault> {
        self.get(&keys::by_hash(self.tenant, Kind::ApiKey, hash))
    }

    /// The API key with this id.
    pub fn api_key_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>, Fault> {
        match self.get(&keys::api_key(self.tenant, id))? {
            Some(hash) => self.api_key(&hash),
            None => Ok(None),
        }
    }

    /// All API keys, oldest first.
    pub fn api_keys(&self) -> Result<Vec<ApiKey>, Fault> {
        let hashes: Vec<SecretHash> = self.list(&keys::range(self.tenant, Kind::ApiKeyById))?;
        hashes.iter().filter_map(|hash| self.api_key(hash).transpose()).collect()
    }

    /// How an API key looks and when it was last used.
    pub fn api_key_usage(&self, id: ApiKeyId) -> Result<Option<Usage>, Fault> {
        self.get(&keys::api_key_use(self.tenant, id))
    }

    /// The epoch of the audit chain.
    pub fn audit_epoch(&self) -> Result<Epoch, Fault> {
        Ok(self.get(&keys::single(self.tenant, Kind::AuditEpoch))?.unwrap_or_default())
    }

    /// A user.
    pub fn user(&self, id: UserId) -> Result<Option<User>, Fault> {
        self.get(&keys::user(self.tenant, id))
    }

    /// The user with this normalised address.
    pub fn user_by_email(&self, address: &str) -> Result<Option<User>, Fault> {
        match self.get(&keys::email(self.tenant, address))? {
            Some(id) => self.user(id),
            None => Ok(None),
        }
    }

    /// Visits the users in the order of their ids, which is that of their coming.
    pub fn users(
        &self,
        after: Option<UserId>,
        mut visit: impl FnMut(User) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let after = after.map(|id| keys::user(self.tenant, id));
        self.visit(&keys::range(self.tenant, Kind::User), after.as_deref(), &mut visit)
    }

    /// Visits the events after a sequence, those of one command together.
    pub fn events(
        &self,
        after: u64,
        mut visit: impl FnMut(Vec<Event>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let start = keys::events(self.tenant, after);
        self.visit(&keys::range(self.tenant, Kind::Events), Some(&start), &mut visit)
    }

    /// Visits the events after a sequence one by one, from whichever event of a command on.
    pub fn events_one_by_one(
        &self,
        after: u64,
        mut visit: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        // Those of one command lie under the first of them, which may come before the one asked for.
        let head: Option<Head> = self.get(&keys::single(self.tenant, Kind::AuditHead))?;
        let mut before = after.min(head.unwrap_or_default().sequence);
        while before > 0 && self.records.get(&keys::events(self.tenant, before))?.is_none() {
            before -= 1;
        }
        self.events(before.saturating_sub(1), |events| {
            let behind = events.into_iter().filter(|event| event.sequence > after);
            for event in behind {
                if visit(event).is_break() {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })
    }

    /// Who is being forgotten.
    pub fn forgettings(&self) -> Result<Vec<Forgetting>, Fault> {
        self.list(&keys::range(self.tenant, Kind::Forgetting))
    }

    /// Visits the text messages on their way, oldest first.
    pub fn text_messages(
        &self,
        mut visit: impl FnMut(TextMessage) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.visit(&keys::range(self.tenant, Kind::TextMessage), None, &mut visit)
    }

    /// A text message on its way.
    pub fn text_message(&self, id: MessageId) -> Result<Option<TextMessage>, Fault> {
        self.get(&keys::text_message(self.tenant, id))
    }

    /// The code that was sent to a user's number.
    pub fn phone_code(&self, user: UserId) -> Result<Option<PhoneCode>, Fault> {
        self.get(&keys::phone_code(self.tenant, user))
    }

    /// The wrong guesses at a normalised address.
    pub fn lockout(&self, address: &str) -> Result<Option<Lockout>, Fault> {
        self.get(&keys::lockout(self.tenant, address))
    }

    /// The second factors of a user, passkeys aside.
    pub fn factors(&self, user: UserId) -> Result<Factors, Fault> {
        Ok(self.get(&keys::mfa(self.tenant, user))?.unwrap_or_default())
    }

    /// What is open at this moment about whose an account is.
    pub fn contest(&self, user: UserId, now: Moment) -> Result<Option<Contest>, Fault> {
        let kept: Option<Contest> = self.get(&keys::contest(self.tenant, user))?;
        Ok(kept.filter(|contest| contest.is_open(now)))
    }

    /// The passkeys of a user, oldest first.
    pub fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>, Fault> {
        self.list(&keys::passkeys_of(self.tenant, user))
    }

    /// The passkey that its authenticator calls so.
    pub fn passkey_by_credential(&self, credential: &[u8]) -> Result<Option<Passkey>, Fault> {
        let hash = Passkey::hash_of(credential);
        let place: Option<Place> =
            self.get(&keys::by_hash(self.tenant, Kind::PasskeyByCredential, &hash))?;
        match place {
            Some(Place { user, id }) => self.get(&keys::passkey(self.tenant, user, id)),
            None => Ok(None),
        }
    }

    /// What is good once under this hash, used or not.
    pub fn one_time(&self, hash: &SecretHash) -> Result<Option<OneTime>, Fault> {
        self.get(&keys::by_hash(self.tenant, Kind::OneTime, hash))
    }

    /// A live session.
    pub fn session(&self, user: UserId, id: SessionId) -> Result<Option<Session>, Fault> {
        self.get(&keys::session(self.tenant, user, id))
    }

    /// The live sessions of a user, oldest first.
    pub fn sessions(&self, user: UserId) -> Result<Vec<Session>, Fault> {
        self.list(&keys::sessions_of(self.tenant, user))
    }

    /// The mark of a session that has ended.
    pub fn ended(&self, id: SessionId) -> Result<Option<Ended>, Fault> {
        self.get(&keys::ended(self.tenant, id))
    }

    /// Where a refresh token belongs.
    pub fn refresh_token(&self, hash: &SecretHash) -> Result<Option<RefreshToken>, Fault> {
        self.get(&keys::by_hash(self.tenant, Kind::RefreshToken, hash))
    }

    /// The accounts at providers that are ways in to a user's account.
    pub fn identities(&self, user: UserId) -> Result<Vec<Identity>, Fault> {
        self.list(&keys::identities_of(self.tenant, user))
    }

    /// The first answer to an idempotency key.
    pub fn idempotency(&self, digest: &[u8; 32]) -> Result<Option<idempotency::Record>, Fault> {
        self.get(&keys::idempotency(self.tenant, digest))
    }

    /// The mails that wait to be sent, or those that are kept to be read, oldest first.
    pub fn mails(&self, kept: bool) -> Result<Vec<Mail>, Fault> {
        self.list(&keys::mails(self.tenant, kept))
    }

    /// A mail that waits to be sent, or is kept to be read.
    pub fn mail(&self, kept: bool, id: MailId) -> Result<Option<Mail>, Fault> {
        self.get(&keys::mail(self.tenant, kept, id))
    }

    /// The cluster, in the view of its own records.
    pub fn cluster(&self) -> Result<Option<Cluster>, Fault> {
        self.get(&keys::single(self.tenant, Kind::Cluster))
    }

    /// The tenant that a bootstrap key belongs to, in the view of the cluster's records.
    pub fn bootstrap_key(&self, hash: &SecretHash) -> Result<Option<TenantNumber>, Fault> {
        self.get(&keys::by_hash(self.tenant, Kind::BootstrapKey, hash))
    }

    /// The number of a tenant, in the view of the cluster's records.
    pub fn tenant_number(&self, id: &TenantId) -> Result<Option<TenantNumber>, Fault> {
        self.get(&keys::directory(id.as_str()))
    }

    /// The numbers of all tenants, in the view of the cluster's records.
    pub fn tenant_numbers(&self) -> Result<Vec<TenantNumber>, Fault> {
        self.list(&keys::range(self.tenant, Kind::Directory))
    }

    /// The numbers of all tenants of whom there are records in the shard.
    pub fn tenants_here(&self) -> Result<Vec<TenantNumber>, Fault> {
        let (mut found, mut after) = (Vec::new(), TenantNumber::CLUSTER);
        while let Some(next) = after.0.checked_add(1).map(TenantNumber) {
            let mut first = None;
            // Every key of the next tenant is longer than this one.
            self.records.scan(&[], Some(&keys::all_of(next)), &mut |key, _| {
                first = keys::tenant_of(key);
                ControlFlow::Break(())
            })?;
            let Some(tenant) = first else { break };
            found.push(tenant);
            after = tenant;
        }
        Ok(found)
    }

    /// All tenants, in the view of the cluster's records.
    pub fn directory(&self) -> Result<Vec<(TenantId, TenantNumber)>, Fault> {
        let prefix = keys::range(self.tenant, Kind::Directory);
        let mut found = Vec::new();
        self.records.scan(&prefix, None, &mut |key, value| {
            let id = std::str::from_utf8(&key[prefix.len()..]).ok();
            found.push((id.and_then(|id| id.parse().ok()), codec::decode(value)));
            ControlFlow::Continue(())
        })?;
        let entries = found.into_iter().map(|(id, number)| {
            let unnamed = || Fault::Damaged("a tenant in the directory has no id".into());
            Ok((id.ok_or_else(unnamed)?, number?))
        });
        entries.collect()
    }

    /// The tenants that are coming or going, in the view of the cluster's records.
    pub fn unsettled(&self) -> Result<Vec<Unsettled>, Fault> {
        self.list(&keys::range(self.tenant, Kind::Unsettled))
    }

    /// To whom backups are encrypted, in the view of the cluster's records.
    pub fn recovery_key(&self) -> Result<Option<[u8; 32]>, Fault> {
        self.get(&keys::single(self.tenant, Kind::RecoveryKey))
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        self.records.get(key)?.map(|bytes| codec::decode(&bytes)).transpose()
    }

    fn list<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, Fault> {
        let mut found = Vec::new();
        self.visit(prefix, None, &mut |record| {
            found.push(record);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn visit<T: DeserializeOwned>(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let mut damage = None;
        self.records.scan(prefix, after, &mut |_, value| match codec::decode(value) {
            Ok(record) => visit(record),
            Err(fault) => {
                damage = Some(fault);
                ControlFlow::Break(())
            }
        })?;
        damage.map_or(Ok(()), Err)
    }
}
