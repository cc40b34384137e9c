//! A service that knows which passwords were breached, by the ends of their digests.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::server::Server;

/// A password that no policy refuses and the service knows.
pub const BREACHED: &str = "Breached-river-41!";

/// The SHA-1 of that, behind its first five digits; beside it an end that only pads the answer, which
/// is that of `people::PASSWORD`.
const KNOWN: &str =
    "7F301337F02D68E8446B8C682EC60F4E2BD:7\r\n4A505EA19DAA9A112BA5921E8889032BBED:0\r\n";

/// The service; it ends with the test.
pub struct Breaches {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Breaches {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = asked.clone();
        let server = Server::start(move |_, asked| {
            heard.lock().expect("no holder panics").push(asked.line);
            (200, Value::from(KNOWN))
        });
        Self { server: server.await, asked }
    }

    /// What `passwords.breach_url` must be.
    pub fn url(&self) -> String {
        format!("{}/range", self.server.base)
    }

    /// What it was asked: `GET /range/97B71`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no holder panics").clone()
    }
}
