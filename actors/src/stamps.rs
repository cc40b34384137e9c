//! Stamps tell an actor whether what it holds in memory is still what storage holds, without a
//! message: the shard bumps the stamp of a user or tenant after a batch is in place and before any
//! caller hears the reply; the actor compares before it answers.
//!
//! Invariant: a stamp is read before the records that it vouches for. A request that begins after a
//! change was answered therefore never sees what was before it. Users share stamps by hash; a
//! collision costs a second look, never a wrong answer.

use std::hash::BuildHasher;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};

use janua_storage::effect::Effect;
use janua_storage::ids::{TenantNumber, UserId};

const SLOTS: usize = 1 << 14;

/// The stamps of a node.
pub(crate) struct Stamps(Box<[AtomicU64]>);

impl Stamps {
    pub fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(1)).collect())
    }

    /// The present stamp of a user and their sessions.
    pub fn user(&self, tenant: TenantNumber, user: UserId) -> u64 {
        self.slot((tenant, user)).load(Ordering::Acquire)
    }

    /// The present stamp of a tenant's settings and keys.
    pub fn tenant(&self, tenant: TenantNumber) -> u64 {
        self.slot(tenant).load(Ordering::Acquire)
    }

    /// Makes whoever holds what has changed look again.
    pub fn heed(&self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::User(tenant, user) => bump(self.slot((tenant, user))),
                Effect::Tenant(tenant) => bump(self.slot(tenant)),
                Effect::Mail(..) => {}
                Effect::Everything => self.0.iter().for_each(bump),
            }
        }
    }

    fn slot(&self, what: impl Hash) -> &AtomicU64 {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(what);
        &self.0[hash as usize % SLOTS]
    }
}

fn bump(slot: &AtomicU64) {
    slot.fetch_add(1, Ordering::AcqRel);
}
