//! What the pages load: one style sheet, one script, and the tenant's colour. Their names change
//! with what they hold, so browsers keep them for ever.

use std::sync::LazyLock;

use bytes::Bytes;
use http::StatusCode;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::theme::Colour;
use crate::call::Call;
use crate::document::Document;
use crate::endpoint::{Access, Endpoint, Limit, get};
use crate::error::{Code, Error};
use crate::input::{Empty, Schemas};
use crate::output::Raw;

const CSS: &str = "text/css";
const JAVASCRIPT: &str = "text/javascript";

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", CSS, include_str!("assets/pages.css")));

static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("js", JAVASCRIPT, include_str!("assets/pages.js")));

/// The endpoint that serves them.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/ui/assets/{file}", Access::Service, Limit::Free, asset)
            .describes("A file that the hosted pages load")
            .sends(StatusCode::OK, CSS, text)
            .sends(StatusCode::OK, JAVASCRIPT, text)
            .answers(StatusCode::NOT_MODIFIED)
            .refuses(&[Code::ResourceNotFound]),
    ]
}

/// The address of the style sheet.
pub fn style() -> &'static str {
    &STYLE.path
}

/// The address of the script.
pub fn script() -> &'static str {
    &SCRIPT.path
}

/// The address of the style sheet of a colour.
pub fn theme(colour: Colour) -> String {
    format!("/ui/assets/theme-{}.css", colour.to_string().trim_start_matches('#'))
}

struct Asset {
    path: String,
    lasting: Document,
    /// For whoever asks by the name that it has in another version, while nodes are being renewed.
    passing: Document,
}

impl Asset {
    fn new(extension: &str, content_type: &'static str, text: &'static str) -> Self {
        let document = || Document::new(content_type, Bytes::from_static(text.as_bytes()));
        let path = format!("/ui/assets/pages-{}.{extension}", document().tag());
        Self { path, lasting: document().for_ever(), passing: document() }
    }

    fn named(&self, file: &str) -> &Document {
        if self.path.ends_with(&format!("/{file}")) { &self.lasting } else { &self.passing }
    }
}

async fn asset(call: Call, _: Empty) -> Result<Raw, Error> {
    let file = call.parameters.get("file").unwrap_or_default();
    let (name, extension) = file.rsplit_once('.').ok_or_else(Error::not_found)?;
    let document = match (name.split_once('-'), extension) {
        (Some(("pages", _)), "css") => STYLE.named(file).respond(&call.headers),
        (Some(("pages", _)), "js") => SCRIPT.named(file).respond(&call.headers),
        (Some(("theme", digits)), "css") => {
            let colour = Colour::of_digits(digits).ok_or_else(Error::not_found)?;
            let sheet = Document::new(CSS, colour.style_sheet().into());
            sheet.for_ever().respond(&call.headers)
        }
        _ => return Err(Error::not_found()),
    };
    Ok(Raw(document))
}

fn text(_: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}
