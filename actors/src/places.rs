//! Where addresses are, by a database file of MaxMind's format. The file is read again when it
//! changes; without one, and for addresses that are nowhere in particular, there is no answer.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use maxminddb::{Reader, geoip2};
use parking_lot::RwLock;

use crate::directory::Directory;
use crate::outbound::is_public;

/// Where an address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// In English.
    pub city: Option<String>,
    /// The subdivision's part of ISO 3166-2.
    pub region: Option<String>,
}

/// The database of a node.
pub(crate) struct Places {
    path: Option<PathBuf>,
    open: RwLock<Open>,
}

#[derive(Default)]
struct Open {
    state: Option<State>,
    reader: Option<Arc<Reader<Vec<u8>>>>,
}

/// What tells one content of the file from the next.
type State = (SystemTime, u64);

impl Places {
    /// The database in this file, if there is one.
    pub fn new(path: Option<PathBuf>) -> Self {
        let places = Self { path, open: RwLock::default() };
        places.look_at_file();
        places
    }

    /// Whether there is a file to look at.
    pub fn is_configured(&self) -> bool {
        self.path.is_some()
    }

    /// Reads the file again if it has changed. A file that cannot be read leaves what was read before.
    pub fn look_at_file(&self) {
        let Some(path) = &self.path else { return };
        let state = fs::metadata(path).and_then(|file| Ok((file.modified()?, file.len()))).ok();
        if state == self.open.read().state {
            return;
        }
        if state.is_none() {
            tracing::warn!(file = %path.display(), "the database of addresses is gone");
            *self.open.write() = Open::default();
            return;
        }
        match Reader::open_readfile(path) {
            Ok(reader) => *self.open.write() = Open { state, reader: Some(Arc::new(reader)) },
            Err(error) => {
                self.open.write().state = state;
                tracing::error!(file = %path.display(), %error, "the database of addresses is unusable");
            }
        }
    }

    /// Where an address is, as its text.
    pub fn find(&self, address: &str) -> Option<Place> {
        let reader = self.open.read().reader.clone()?;
        let address: IpAddr = address.parse().ok()?;
        let address = address.to_canonical();
        if !is_public(address) {
            return None;
        }
        let found = reader.lookup(address).ok()?.decode::<geoip2::City<'_>>().ok()??;
        let text = |text: Option<&str>| text.map(str::to_owned);
        let place = Place {
            country: text(found.country.iso_code.or(found.registered_country.iso_code)),
            city: text(found.city.names.english),
            region: text(found.subdivisions.first().and_then(|region| region.iso_code)),
        };
        let known = place.country.is_some() || place.city.is_some();
        known.then_some(place)
    }
}

impl Directory {
    /// Where an address is, if a database tells it.
    pub fn place(&self, address: &str) -> Option<Place> {
        self.node().places.find(address)
    }
}
