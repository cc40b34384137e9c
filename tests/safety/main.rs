//! What holds whatever happens: one file for each promise.

mod backup;
mod damage;
mod descriptors;
mod disk;
mod durability;
mod once;
mod revocation;
mod secrets;
mod startup;
