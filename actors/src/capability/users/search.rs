//! Finding users. Reading takes a thread of its own and no turn of the tenant's; a request looks at a
//! bounded number of accounts, and says where to go on.

use std::ops::ControlFlow;
use std::time::Duration;

use janua_storage::capability::users::{Managed, Status, User};
use janua_storage::engine::View as ShardView;
use janua_storage::ids::UserId;
use janua_storage::moment::Moment;
use unicode_normalization::UnicodeNormalization;

use crate::email::EmailAddress;
use crate::refusal::Refusal;
use crate::tenant::{Shared, TenantRef};

/// How many accounts one request looks at.
const LOOKED_AT: usize = 50_000;

/// How long a search waits for others to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much the moment in an id may differ from that of the account's creation.
const SLACK_MS: u64 = 60_000;

/// Which users are wanted.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Stands in address or name, whatever its case.
    pub text: Option<String>,
    /// The very address.
    pub email: Option<EmailAddress>,
    /// Whether they may act.
    pub status: Option<Status>,
    /// Whether their address is verified.
    pub email_verified: Option<bool>,
    /// Created at this moment or later.
    pub created_after: Option<Moment>,
    /// Created before this moment.
    pub created_before: Option<Moment>,
    /// Who came after this user.
    pub after: Option<UserId>,
    /// So many of them are passed over.
    pub offset: usize,
    /// So many at most.
    pub limit: usize,
}

/// The users that were found, in the order of their coming.
#[derive(Debug, Default)]
pub struct Found {
    /// One page of them.
    pub users: Vec<Managed>,
    /// How many were found, those on other pages included.
    pub total: u32,
    /// Whether there are, or may be, more behind these.
    pub has_more: bool,
    /// After whom to go on.
    pub next: Option<UserId>,
}

impl TenantRef {
    /// The users that are wanted.
    pub async fn search_users(&self, search: Search) -> Result<Found, Refusal> {
        let records = self.0.shard.read().await?;
        if let Some(email) = &search.email {
            let known = self.0.view(&records).user_by_email(email.as_str())?;
            let mut collected = Collected::new(&search);
            if let Some(user) = known {
                let _ = collected.look_at(user);
            }
            return collected.found(&self.0, &records);
        }
        let tenant = self.0.clone();
        self.reading(move || {
            let mut collected = Collected::new(&search);
            let view = tenant.view(&records);
            if let Some(after) = search.after {
                view.users(search.created(), |user| match user.profile.id > after {
                    true => ControlFlow::Break(()),
                    false => collected.look_at(user),
                })?;
                collected.turn_to_the_page();
            }
            view.users(search.first(), |user| collected.look_at(user))?;
            collected.found(&tenant, &records)
        })
        .await
    }

    /// Runs what reads a lot, beside few of its kind.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let busy = || Refusal::Overloaded { retry_after: Duration::from_secs(1) };
        let turn = tokio::time::timeout(PATIENCE, self.0.node.readings.clone().acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read()
        });
        reading.await.map_err(|error| Refusal::unavailable(error.to_string()))?
    }
}

impl Search {
    /// After whom those may stand who are wanted: ids are in the order of their moments.
    fn created(&self) -> Option<UserId> {
        self.created_after.map(|at| UserId::new(at.0.saturating_sub(SLACK_MS), 0))
    }

    /// After whom the page begins.
    fn first(&self) -> Option<UserId> {
        self.after.max(self.created())
    }

    fn wants(&self, user: &User) -> bool {
        let profile = &user.profile;
        self.status.is_none_or(|status| user.status == status)
            && self.email_verified.is_none_or(|verified| profile.email_verified == verified)
            && self.created_after.is_none_or(|at| profile.created >= at)
            && self.created_before.is_none_or(|at| profile.created < at)
            && self.email.as_ref().is_none_or(|email| profile.email == email.as_str())
    }
}

struct Collected<'a> {
    search: &'a Search,
    text: Option<String>,
    last: Option<UserId>,
    users: Vec<User>,
    looked_at: usize,
    /// How many there are, on whatever page.
    matched: usize,
    /// How many of them come after those who are passed over.
    ahead: usize,
    stopped: bool,
}

impl<'a> Collected<'a> {
    fn new(search: &'a Search) -> Self {
        let text = search.text.as_deref().map(plain).filter(|text| !text.is_empty());
        let users = Vec::with_capacity(search.limit);
        let (looked_at, matched, ahead) = (0, 0, 0);
        Self { search, text, last: None, users, looked_at, matched, ahead, stopped: false }
    }

    /// Those who are passed over have been counted, as far as that goes.
    fn turn_to_the_page(&mut self) {
        (self.looked_at, self.stopped) = (0, false);
    }

    fn look_at(&mut self, user: User) -> ControlFlow<()> {
        let id = user.profile.id;
        let too_late = self.search.created_before.map(|at| Moment(at.0.saturating_add(SLACK_MS)));
        if too_late.is_some_and(|at| id > UserId::new(at.0, 0)) {
            return ControlFlow::Break(());
        }
        if self.looked_at >= LOOKED_AT {
            self.stopped = true;
            return ControlFlow::Break(());
        }
        self.looked_at += 1;
        if self.search.wants(&user) && self.speaks_of(&user) {
            self.matched += 1;
            let is_ahead = self.search.after.is_none_or(|after| id > after);
            self.ahead += usize::from(is_ahead);
            let is_on_page = is_ahead && self.ahead > self.search.offset;
            if is_on_page && self.users.len() < self.search.limit {
                self.users.push(user);
            }
        }
        self.last = Some(id);
        ControlFlow::Continue(())
    }

    fn speaks_of(&self, user: &User) -> bool {
        let Some(text) = &self.text else { return true };
        let profile = &user.profile;
        let names = [profile.first_name.as_deref(), profile.last_name.as_deref()];
        let names: Vec<_> = names.into_iter().flatten().collect();
        profile.email.contains(text) || plain(&names.join(" ")).contains(text)
    }

    fn found(self, tenant: &Shared, records: &ShardView) -> Result<Found, Refusal> {
        let shown = self.search.offset + self.users.len();
        let more_matched = self.ahead > shown;
        let full = self.users.len() >= self.search.limit;
        let last_shown = self.users.last().map(|user| user.profile.id);
        let next = match (more_matched, self.stopped) {
            (true, _) => last_shown,
            (false, true) if full => last_shown,
            (false, true) => self.last,
            (false, false) => None,
        };
        let (view, now) = (tenant.view(records), tenant.node.clock.now());
        let managed = |user: User| Managed::of(&view, user, now).map_err(Refusal::from);
        Ok(Found {
            users: self.users.into_iter().map(managed).collect::<Result<_, _>>()?,
            total: u32::try_from(self.matched).unwrap_or(u32::MAX),
            has_more: more_matched || self.stopped,
            next,
        })
    }
}

fn plain(text: &str) -> String {
    text.to_lowercase().nfc().collect()
}

#[cfg(test)]
mod tests {
    use janua_storage::capability::users::Profile;

    use super::*;

    fn user(number: usize) -> User {
        User {
            profile: Profile {
                id: UserId::new(number as u64, 0),
                email: format!("user{number}@example.com"),
                first_name: Some("J\u{f6}rg".into()),
                last_name: Some("M\u{fc}ller".into()),
                email_verified: false,
                phone_number: None,
                phone_verified: false,
                avatar: None,
                mfa_enabled: false,
                created: Moment(number as u64),
                last_active: Moment(number as u64),
                metadata: "{}".into(),
            },
            password: None,
            status: Status::Active,
            devices: Vec::new(),
            sessions: 0,
        }
    }

    #[test]
    fn a_search_looks_at_so_many_accounts_and_no_more() {
        let text = Some(format!("user{}@", LOOKED_AT + 1));
        let search = Search { text, limit: 10, ..Search::default() };
        let mut collected = Collected::new(&search);
        let last = (1..=2 * LOOKED_AT).find(|number| collected.look_at(user(*number)).is_break());
        assert_eq!(last, Some(LOOKED_AT + 1), "it goes on from here with the next request");
        assert!(collected.stopped && collected.users.is_empty());
        assert_eq!(collected.last, Some(UserId::new(LOOKED_AT as u64, 0)));
    }

    #[test]
    fn names_are_found_whatever_their_case_and_form() {
        for (text, found) in [("M\u{dc}LLER", 1), ("jo\u{308}rg m", 1), ("g m", 1), ("muller", 0)] {
            let search = Search { text: Some(text.into()), limit: 10, ..Search::default() };
            let mut collected = Collected::new(&search);
            let _ = collected.look_at(user(1));
            assert_eq!(collected.users.len(), found, "{text}");
        }
    }
}
