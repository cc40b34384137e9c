//! `limit` and `offset` of a list.

use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

const USUAL: u32 = 50;

/// Which part of a list is asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(default)]
pub struct Page {
    /// At most so many; 50 when absent.
    #[garde(inner(range(min = 1, max = 100)))]
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Behind so many.
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 4294967295_u32, default = 0, format = Int64)]
    offset: Option<u32>,
}

impl Page {
    /// At most so many.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL) as usize
    }

    /// Behind so many.
    pub fn offset(&self) -> usize {
        self.offset.unwrap_or_default() as usize
    }

    /// Whether there is more behind this page of so many.
    pub fn has_more(&self, total: usize) -> bool {
        self.offset() + self.limit() < total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_has_no_more_behind_it() {
        let page = Page { limit: Some(2), offset: Some(2) };
        assert!(page.has_more(5) && !page.has_more(4));
        assert!(Page::default().has_more(51) && !Page::default().has_more(50));
    }
}
