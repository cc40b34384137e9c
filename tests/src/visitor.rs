//! A visitor without scripts: asks for pages, keeps cookies, posts forms as they stand on the page.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, COOKIE, SET_COOKIE};

use crate::node::{Api, Node, answer};
use crate::response::Response;

/// A visitor without scripts; a clone is another tab of their browser.
#[derive(Clone)]
pub struct Visitor {
    api: Api,
    cookies: BTreeMap<String, String>,
    language: String,
    /// The page that they see.
    pub page: Response,
}

impl Visitor {
    /// Somebody who opens a page of this node.
    pub async fn opens(node: &Node, path: &str) -> Self {
        Self::speaking("en", node, path).await
    }

    /// The same in another language.
    pub async fn speaking(language: &str, node: &Node, path: &str) -> Self {
        let api = node.api.clone();
        let page = api.get("/health/live").await;
        let language = language.to_owned();
        let mut visitor = Self { api, cookies: BTreeMap::new(), language, page };
        visitor.goes_to(path).await;
        visitor
    }

    /// Their browser reaches another node from now on.
    pub fn is_led_to(&mut self, node: &Node) {
        self.api = node.api.clone();
    }

    /// Opens a page, and follows where it leads within the house.
    pub async fn goes_to(&mut self, path: &str) {
        let request = self.request(Method::GET, path);
        self.receives(request).await;
        self.follows().await;
    }

    /// Posts the form with this action, as it stands on the page, with these fields filled in.
    pub async fn posts(&mut self, action: &str, fields: &[(&str, &str)]) {
        let (address, hidden) = self.form(action);
        let mut body: BTreeMap<String, String> = hidden;
        body.extend(fields.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let request = self.request(Method::POST, &address).header("Sec-Fetch-Site", "same-origin");
        self.receives(request.header("Content-Type", FORM).body(encoded(&body))).await;
    }

    /// The same, and goes where it leads within the house.
    pub async fn submits(&mut self, action: &str, fields: &[(&str, &str)]) {
        self.posts(action, fields).await;
        self.follows().await;
    }

    /// A request with everything that their browser adds.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.api.request(method, path);
        let request = request.header(ACCEPT, "text/html,*/*;q=0.8");
        let request = request.header(ACCEPT_LANGUAGE, &self.language);
        if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) }
    }

    /// Sends a request of the test's own.
    pub async fn receives(&mut self, request: reqwest::RequestBuilder) {
        self.page = answer(request).await;
        for line in self.page.headers.get_all(SET_COOKIE) {
            let line = line.to_str().expect("plain text");
            assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
            let pair = line.split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a pair");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
    }

    async fn follows(&mut self) {
        while self.page.status == 303 {
            let path = self.page.header("location").to_owned();
            assert!(path.starts_with("/ui/"), "it leads out of the house: {path}");
            let request = self.request(Method::GET, &path);
            self.receives(request).await;
        }
    }

    /// A cookie that they keep.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Forgets all cookies.
    pub fn forgets(&mut self) {
        self.cookies.clear();
    }

    /// The page has this heading.
    #[track_caller]
    pub fn reads_heading(&self, heading: &str) {
        let found = self.page.text.split_once("<h1").and_then(|(_, rest)| rest.split_once('>'));
        let found = found.and_then(|(_, rest)| rest.split_once("</h1>")).map(|(text, _)| text);
        assert_eq!(found, Some(heading), "{} {}", self.page.status, self.page.text);
    }

    /// The page says so.
    #[track_caller]
    pub fn reads(&self, text: &str) {
        let page: Vec<_> = self.page.text.split_whitespace().collect();
        assert!(page.join(" ").contains(text), "{text:?} is not in {}", self.page.text);
    }

    /// Where the page leads out of the house.
    #[track_caller]
    pub fn leaves_for(&self) -> String {
        let refresh = self.page.header("refresh").strip_prefix("0;url=");
        refresh.unwrap_or_else(|| panic!("it leads nowhere: {}", self.page.text)).to_owned()
    }

    /// The address of the first link to this page.
    #[track_caller]
    pub fn link(&self, path: &str) -> String {
        let links = self.page.text.split("href=\"").skip(1);
        let links = links.filter_map(|link| link.split('"').next()).map(unescaped);
        let found = links.into_iter().find(|link| link.split('?').next() == Some(path));
        found.unwrap_or_else(|| panic!("no link to {path}: {}", self.page.text))
    }

    /// The address and the hidden fields of the form with this action.
    #[track_caller]
    fn form(&self, action: &str) -> (String, BTreeMap<String, String>) {
        let forms = self.page.text.split("<form ").skip(1);
        let mut forms = forms.filter_map(|form| {
            let address = unescaped(attribute(form, "action")?);
            let is_it = address.split('?').next() == Some(action);
            is_it.then(|| (address, form.split("</form>").next().unwrap_or_default()))
        });
        let found = forms.next();
        let (address, form) =
            found.unwrap_or_else(|| panic!("no form for {action}: {}", self.page.text));
        let inputs =
            form.split("<input ").skip(1).filter(|input| input.contains("type=\"hidden\""));
        let fields = inputs.filter_map(|input| {
            let value = attribute(input, "value").unwrap_or_default();
            Some((attribute(input, "name")?.to_owned(), unescaped(value)))
        });
        (address, fields.collect())
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Fields as a form posts them.
fn encoded(fields: &BTreeMap<String, String>) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
            .collect()
    };
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let tag = tag.split('>').next()?;
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

fn unescaped(text: &str) -> String {
    text.replace("&#38;", "&").replace("&#34;", "\"").replace("&#39;", "'").replace("&#60;", "<")
}
