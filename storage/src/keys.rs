//! Where records lie: `tenant number · kind · rest`, so that a tenant is one range and each kind of
//! record one range in it. Numbers are big-endian, so that bytes order as numbers do.

use crate::ids::{ApiKeyId, CredentialId, MailId, MessageId, SessionId, TenantNumber, UserId};
use crate::secret::SecretHash;

/// The kind of a record. Append-only: a number once used keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The shard's clock (cluster range).
    Clock = 1,
    /// The cluster (cluster range).
    Cluster = 2,
    /// Number of a tenant, by its id (cluster range).
    Directory = 3,
    /// Tenant of a bootstrap key, by hash (cluster range).
    BootstrapKey = 4,
    /// A node, by its number (cluster range).
    Node = 5,
    /// Number of a tenant, by its slug (cluster range).
    Slug = 8,
    /// The last number that was given to a tenant (cluster range).
    TenantCounter = 9,
    /// A tenant that is coming or going, by its number (cluster range).
    Unsettled = 10,
    /// To whom backups are encrypted (cluster range).
    RecoveryKey = 11,
    /// What backups once wrote to be sure of their position (cluster range of every shard).
    BackupMark = 12,
    /// The version that the nodes have agreed on (cluster range).
    Agreed = 13,
    /// How many replicas each shard wants (cluster range).
    Replicas = 14,
    /// The tenant.
    Tenant = 16,
    /// A signing key, by its number.
    SigningKey = 17,
    /// An API key, by hash.
    ApiKey = 18,
    /// Hash of an API key, by its id.
    ApiKeyById = 19,
    /// How an API key looks and when it was last used, by its id.
    ApiKeyUse = 24,
    /// A user, by id.
    User = 32,
    /// Id of a user, by e-mail address.
    Email = 33,
    /// Failed logins of an address.
    Lockout = 34,
    /// A code that was sent to a user's number.
    PhoneCode = 44,
    /// A user who is being forgotten.
    Forgetting = 45,
    /// When codes were sent to a number.
    PhoneSends = 46,
    /// A text message on its way, by id.
    TextMessage = 47,
    /// A user's account at a provider, by user and provider.
    Identity = 40,
    /// Id of a user, by provider and subject.
    IdentityBySubject = 41,
    /// The second factors of a user.
    Mfa = 36,
    /// A passkey, by user and id.
    Passkey = 37,
    /// Where a passkey lies, by the hash of what its authenticator calls it.
    PasskeyByCredential = 38,
    /// Wrong codes of a user's second factors.
    MfaGuesses = 39,
    /// A live session, by user and id.
    Session = 48,
    /// Session of a refresh token, by hash.
    RefreshToken = 49,
    /// Spent refresh tokens, by session and generation.
    Spent = 50,
    /// A session that has ended, until its tokens would have expired.
    Ended = 51,
    /// First answer to an idempotency key.
    Idempotency = 64,
    /// A token, code or challenge that is good once, by hash.
    OneTime = 65,
    /// A mail in the outbox, by state and id.
    Mail = 66,
    /// How often something was asked for an address, by bucket and address.
    Counter = 67,
    /// How many mails are in the outbox.
    MailQueue = 68,
    /// Tells that a token or a mail is about somebody, by whom and which.
    Trace = 72,
    /// Tells that the first answer to an idempotency key is about a user, by user and digest of the key.
    Answered = 74,
    /// What is open about whose an account is, by user. Its earlier form had 73.
    Contest = 76,
    /// Events of one command, by the sequence of the first.
    Events = 80,
    /// The end of the audit chain.
    AuditHead = 81,
    /// The epoch of the audit chain; none in the first.
    AuditEpoch = 88,
}

/// Records of which each can be used once, by whoever has the secret, and the messages that carry the
/// secrets there: void after a restore, which may not know of their use.
pub const ONE_TIME: [Kind; 6] =
    [Kind::OneTime, Kind::PhoneCode, Kind::TextMessage, Kind::Mail, Kind::MailQueue, Kind::Trace];

/// Every record of `kind` that `tenant` has begins so.
pub fn range(tenant: TenantNumber, kind: Kind) -> Vec<u8> {
    key(tenant, kind, &[])
}

/// The record of which there is one a tenant.
pub fn single(tenant: TenantNumber, kind: Kind) -> Vec<u8> {
    key(tenant, kind, &[])
}

/// A record named by the hash of a secret.
pub fn by_hash(tenant: TenantNumber, kind: Kind, hash: &SecretHash) -> Vec<u8> {
    key(tenant, kind, &[&hash.0])
}

/// The number of the tenant with this id.
pub fn directory(id: &str) -> Vec<u8> {
    key(TenantNumber::CLUSTER, Kind::Directory, &[id.as_bytes()])
}

/// The number of the tenant with this slug.
pub fn slug(slug: &str) -> Vec<u8> {
    key(TenantNumber::CLUSTER, Kind::Slug, &[slug.as_bytes()])
}

/// A tenant that is coming or going.
pub fn unsettled(number: TenantNumber) -> Vec<u8> {
    key(TenantNumber::CLUSTER, Kind::Unsettled, &[&number.0.to_be_bytes()])
}

/// Everything that a tenant has begins so.
pub fn all_of(tenant: TenantNumber) -> Vec<u8> {
    tenant.0.to_be_bytes().to_vec()
}

/// Whose range a key lies in.
pub fn tenant_of(key: &[u8]) -> Option<TenantNumber> {
    key.first_chunk().map(|number| TenantNumber(u32::from_be_bytes(*number)))
}

/// A node of the cluster.
pub fn node(id: u64) -> Vec<u8> {
    key(TenantNumber::CLUSTER, Kind::Node, &[&id.to_be_bytes()])
}

/// A signing key.
pub fn signing_key(tenant: TenantNumber, number: u32) -> Vec<u8> {
    key(tenant, Kind::SigningKey, &[&number.to_be_bytes()])
}

/// The hash under which an API key lies.
pub fn api_key(tenant: TenantNumber, id: ApiKeyId) -> Vec<u8> {
    key(tenant, Kind::ApiKeyById, &[id.as_bytes()])
}

/// How an API key looks and when it was last used.
pub fn api_key_use(tenant: TenantNumber, id: ApiKeyId) -> Vec<u8> {
    key(tenant, Kind::ApiKeyUse, &[id.as_bytes()])
}

/// A user.
pub fn user(tenant: TenantNumber, id: UserId) -> Vec<u8> {
    key(tenant, Kind::User, &[id.as_bytes()])
}

/// The id of the user with this normalised address.
pub fn email(tenant: TenantNumber, address: &str) -> Vec<u8> {
    key(tenant, Kind::Email, &[address.as_bytes()])
}

/// The failed logins of a normalised address.
pub fn lockout(tenant: TenantNumber, address: &str) -> Vec<u8> {
    key(tenant, Kind::Lockout, &[address.as_bytes()])
}

/// The code that was sent to a user's number.
pub fn phone_code(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::PhoneCode, &[user.as_bytes()])
}

/// A user who is being forgotten.
pub fn forgetting(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::Forgetting, &[user.as_bytes()])
}

/// When codes were sent to a number.
pub fn phone_sends(tenant: TenantNumber, number: &str) -> Vec<u8> {
    key(tenant, Kind::PhoneSends, &[number.as_bytes()])
}

/// A text message on its way.
pub fn text_message(tenant: TenantNumber, id: MessageId) -> Vec<u8> {
    key(tenant, Kind::TextMessage, &[id.as_bytes()])
}

/// A user's account at a provider.
pub fn identity(tenant: TenantNumber, user: UserId, provider: &str) -> Vec<u8> {
    key(tenant, Kind::Identity, &[user.as_bytes(), provider.as_bytes()])
}

/// A user's accounts at providers.
pub fn identities_of(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::Identity, &[user.as_bytes()])
}

/// The second factors of a user.
pub fn mfa(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::Mfa, &[user.as_bytes()])
}

/// What is open about whose an account is.
pub fn contest(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::Contest, &[user.as_bytes()])
}

/// The wrong codes of a user's second factors.
pub fn mfa_guesses(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::MfaGuesses, &[user.as_bytes()])
}

/// A passkey.
pub fn passkey(tenant: TenantNumber, user: UserId, id: CredentialId) -> Vec<u8> {
    key(tenant, Kind::Passkey, &[user.as_bytes(), id.as_bytes()])
}

/// The passkeys of a user.
pub fn passkeys_of(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::Passkey, &[user.as_bytes()])
}

/// A live session.
pub fn session(tenant: TenantNumber, user: UserId, id: SessionId) -> Vec<u8> {
    key(tenant, Kind::Session, &[user.as_bytes(), id.as_bytes()])
}

/// The live sessions of a user.
pub fn sessions_of(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::Session, &[user.as_bytes()])
}

/// A spent refresh token of a session.
pub fn spent(tenant: TenantNumber, session: SessionId, generation: u32) -> Vec<u8> {
    key(tenant, Kind::Spent, &[session.as_bytes(), &generation.to_be_bytes()])
}

/// The spent refresh tokens of a session.
pub fn spent_of(tenant: TenantNumber, session: SessionId) -> Vec<u8> {
    key(tenant, Kind::Spent, &[session.as_bytes()])
}

/// A session that has ended.
pub fn ended(tenant: TenantNumber, session: SessionId) -> Vec<u8> {
    key(tenant, Kind::Ended, &[session.as_bytes()])
}

/// The first answer to an idempotency key.
pub fn idempotency(tenant: TenantNumber, digest: &[u8; 32]) -> Vec<u8> {
    key(tenant, Kind::Idempotency, &[digest])
}

/// Tells that the first answer to an idempotency key is about a user.
pub fn answered(tenant: TenantNumber, user: UserId, digest: &[u8; 32]) -> Vec<u8> {
    key(tenant, Kind::Answered, &[user.as_bytes(), digest])
}

/// What tells of the answers that are about a user.
pub fn answers_about(tenant: TenantNumber, user: UserId) -> Vec<u8> {
    key(tenant, Kind::Answered, &[user.as_bytes()])
}

/// The mails of the outbox that wait to be sent, or those that are kept to be read.
pub fn mails(tenant: TenantNumber, kept: bool) -> Vec<u8> {
    key(tenant, Kind::Mail, &[&[u8::from(kept)]])
}

/// A mail of the outbox.
pub fn mail(tenant: TenantNumber, kept: bool, id: MailId) -> Vec<u8> {
    key(tenant, Kind::Mail, &[&[u8::from(kept)], id.as_bytes()])
}

/// How often something was asked for a normalised address.
pub fn counter(tenant: TenantNumber, bucket: u8, address: &str) -> Vec<u8> {
    key(tenant, Kind::Counter, &[&[bucket], address.as_bytes()])
}

/// The traces of whatever is about somebody.
pub fn traces_of(tenant: TenantNumber, subject: &[u8]) -> Vec<u8> {
    key(tenant, Kind::Trace, &[subject])
}

/// The trace of the record under `target` that is about somebody.
pub fn trace(tenant: TenantNumber, subject: &[u8], target: &[u8]) -> Vec<u8> {
    let within_tenant = target.get(size_of::<u32>()..).unwrap_or_default();
    key(tenant, Kind::Trace, &[subject, within_tenant])
}

/// The record that a trace leads to, by what stands in its key behind the subject.
pub fn traced(tenant: TenantNumber, target: &[u8]) -> Vec<u8> {
    [all_of(tenant).as_slice(), target].concat()
}

/// The events of one command.
pub fn events(tenant: TenantNumber, first_sequence: u64) -> Vec<u8> {
    key(tenant, Kind::Events, &[&first_sequence.to_be_bytes()])
}

fn key(tenant: TenantNumber, kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(5 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend_from_slice(&tenant.0.to_be_bytes());
    key.push(kind as u8);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}
