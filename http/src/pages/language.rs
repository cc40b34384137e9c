//! The languages of the pages, and which of them a visitor reads.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// A language that the pages speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Spanish.
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Spanish];

    /// Its BCP 47 tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }

    /// Its name in itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Spanish => "Español",
        }
    }

    /// The language of a tag, whatever its region.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// The language of a visitor: what they chose, else what their browser asks for, else the
    /// tenant's, else English.
    pub fn of(chosen: Option<Self>, headers: &HeaderMap, locale: &str) -> Self {
        let asked = || Self::asked_for(headers);
        chosen.or_else(asked).or_else(|| Self::of_tag(locale)).unwrap_or(Self::English)
    }

    /// What a browser asks for, of what there is (RFC 9110 §12.5.4).
    fn asked_for(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
        let mut best = None;
        for range in lines.flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let Some(language) = parts.next().and_then(Self::of_tag) else { continue };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            let weight = weight.unwrap_or(1.0);
            if weight > best.map_or(0.0, |(_, best)| best) {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asking(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(text))])
    }

    #[test]
    fn the_visitor_comes_before_the_browser_and_the_browser_before_the_tenant() {
        let of = |chosen, asked, locale| Language::of(chosen, &asking(asked), locale);
        assert_eq!(of(Some(Language::English), "es", "es"), Language::English);
        assert_eq!(of(None, "es-MX,es;q=0.9,en;q=0.8", "en"), Language::Spanish);
        assert_eq!(of(None, "de, en;q=0.3, es;q=0.7", "en"), Language::Spanish);
        assert_eq!(of(None, "de, es;q=0", "es-AR"), Language::Spanish);
        assert_eq!(of(None, "de", ""), Language::English);
    }
}
