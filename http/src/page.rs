//! `limit` and `offset` of a list, and what a list says of itself.

use crate::call::Call;
use crate::error::{Detail, Error};

const USUAL: usize = 50;
const MOST: usize = 100;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// At most so many.
    pub limit: usize,
    /// Behind so many.
    pub offset: usize,
}

impl Page {
    /// As the query of a request says.
    pub fn of(call: &Call) -> Result<Self, Error> {
        Self::read(&call.query)
    }

    fn read(query: &str) -> Result<Self, Error> {
        let mut page = Self { limit: USUAL, offset: 0 };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let (field, allowed, rule) = match name {
                "limit" => (&mut page.limit, 1..=MOST, "must be from 1 to 100"),
                "offset" => (&mut page.offset, 0..=usize::MAX, "must be a number"),
                _ => continue,
            };
            let number = value.parse().ok().filter(|number| allowed.contains(number));
            *field = number.ok_or_else(|| Error::invalid(vec![Detail::new(name, rule)]))?;
        }
        Ok(page)
    }

    /// Whether there is more behind this page of so many.
    pub fn has_more(&self, total: usize) -> bool {
        self.offset.saturating_add(self.limit) < total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_the_query_says() {
        assert_eq!(Page::read("").unwrap(), Page { limit: 50, offset: 0 });
        assert_eq!(Page::read("a=b&limit=2&offset=3").unwrap(), Page { limit: 2, offset: 3 });
        for query in ["limit=0", "limit=101", "limit=x", "offset=-1", "offset="] {
            assert!(Page::read(query).is_err(), "{query}");
        }
    }

    #[test]
    fn the_last_page_has_no_more_behind_it() {
        let page = Page { limit: 2, offset: 2 };
        assert!(page.has_more(5) && !page.has_more(4));
    }
}
