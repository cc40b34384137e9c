//! The HTTP floor from outside: its pipeline without sockets, its server with them.

mod pipeline;
mod server;
mod support;
