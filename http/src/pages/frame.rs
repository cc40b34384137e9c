//! What every template is given: language, look, visit, the form's token, and what was wrong.

use janua_actors::settings::Settings;

use super::assets;
use super::faults::{Faults, brand};
use super::language::Language;
use super::texts::{Texts, fill};
use super::theme::Colour;
use super::visit::Visit;

/// How a tenant's pages look.
#[derive(Debug)]
pub struct Look {
    /// What the product is called.
    pub brand: String,
    /// The address of its logo.
    pub logo: Option<String>,
    /// The address of the style sheet with its colour.
    pub theme: Option<String>,
    /// The address of the style sheet.
    pub style: &'static str,
    /// The address of the script.
    pub script: &'static str,
}

/// A language to choose.
#[derive(Debug)]
pub struct Choice {
    /// Its BCP 47 tag.
    pub tag: &'static str,
    /// Its name in itself.
    pub name: &'static str,
    /// Where the page is in it.
    pub address: String,
    /// Whether it is the page's.
    pub is_chosen: bool,
}

/// What every template is given.
pub struct Frame {
    /// What the page says.
    pub t: &'static Texts,
    /// The language of that.
    pub language: Language,
    /// How it looks.
    pub look: Look,
    /// The visit that it belongs to.
    pub visit: Visit,
    /// Where it is found in other languages; nowhere, if its address holds a secret.
    pub path: Option<&'static str>,
    /// The id of its tenant.
    pub tenant: String,
    /// Ties its forms to the browser.
    pub form_token: String,
    /// What was wrong with the form that led to it.
    pub faults: Faults,
    /// The fewest characters of a password.
    pub shortest_password: u32,
    /// Whether anybody may create an account.
    pub registration_is_open: bool,
}

impl Look {
    /// The look of pages that belong to no tenant.
    pub fn plain(brand: String) -> Self {
        let (style, script) = (assets::style(), assets::script());
        Self { brand, logo: None, theme: None, style, script }
    }

    /// What a tenant has settled.
    pub fn of(settings: &Settings) -> Self {
        let branding = &settings.branding;
        let colour = branding.primary_color.strip_prefix('#').and_then(Colour::of_digits);
        Self {
            logo: Some(branding.logo_url.clone()).filter(|logo| !logo.is_empty()),
            theme: colour.map(assets::theme),
            ..Self::plain(brand(settings))
        }
    }
}

impl Frame {
    /// The frame of a page that belongs to no tenant and asks for nothing.
    pub fn plain(language: Language) -> Self {
        Self {
            t: language.texts(),
            language,
            look: Look::plain("Janua".into()),
            visit: Visit::default(),
            path: None,
            tenant: String::new(),
            form_token: String::new(),
            faults: Faults::default(),
            shortest_password: 0,
            registration_is_open: false,
        }
    }

    /// The page in all its languages.
    pub fn languages(&self) -> Vec<Choice> {
        let choice = |language: Language| Choice {
            tag: language.tag(),
            name: language.name(),
            address: self.visit.in_language(self.path.unwrap_or_default(), language),
            is_chosen: language == self.language,
        };
        Language::ALL.map(choice).into()
    }

    /// Whether something was wrong.
    pub fn is_at_fault(&self) -> bool {
        self.faults.summary.is_some()
    }

    /// A text with the name of the product.
    pub fn branded(&self, text: &str) -> String {
        fill(text, "brand", &self.look.brand)
    }

    /// What a password must be.
    pub fn password_hint(&self) -> String {
        fill(self.t.password_hint, "number", &self.shortest_password.to_string())
    }
}
