//! What holds whatever happens: one file for each promise.

mod backup;
mod damage;
mod descriptors;
mod disk;
mod durability;
mod enumeration;
mod once;
mod revocation;
mod secrets;
mod startup;
mod unheard;
