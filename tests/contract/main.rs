//! What holds for every endpoint because it is declared, and what keeps the house in order.

mod access;
mod bodies;
mod documents;
mod errors;
mod layout;
mod reference;
mod tenants;
