//! Actors decide. They hold nothing that storage cannot rebuild, take requests through bounded
//! doors, and meet time and randomness in `clock` alone.

pub mod authority;
pub mod backup;
mod breaches;
pub mod capability;
pub mod clock;
pub mod context;
pub mod directory;
pub mod email;
pub mod gateway;
pub mod hashing;
mod home;
mod idempotency;
pub mod mail;
mod outbound;
pub mod permissions;
pub mod phone;
pub mod pkce;
pub mod places;
pub mod redirect;
pub mod refusal;
pub mod routing;
pub mod session;
pub mod settings;
mod stamps;
mod supervisor;
pub mod tenant;
pub mod tokens;
pub mod upstream;
