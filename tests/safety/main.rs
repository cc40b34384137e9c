//! What holds whatever happens: one file for each promise.

mod damage;
mod descriptors;
mod disk;
mod durability;
mod once;
mod revocation;
mod secrets;
mod startup;
