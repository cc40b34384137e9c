//! A browser, as far as redirects and cookies go. The public address of a node under test leads to
//! where it really listens.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Url};

use crate::node::{Api, client};
use crate::response::Response;

/// What a node calls itself unless a test says otherwise.
const PUBLIC: &str = "http://localhost:3000/";

/// How many redirects a browser follows.
const MOST: usize = 20;

/// One browser, with its cookies.
pub struct Browser {
    api: Api,
    http: Client,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    /// A new one, which knows nothing.
    pub fn new(api: &Api) -> Self {
        Self { api: api.clone(), http: client(), cookies: BTreeMap::new() }
    }

    /// The same browser, led to another node.
    pub fn at(&mut self, api: &Api) -> &mut Self {
        self.api = api.clone();
        self
    }

    /// Goes to `path` of the node and stays there.
    pub async fn visits(&mut self, path: &str) -> Response {
        let url = format!("{}{path}", self.api.base());
        self.asks(&url).await
    }

    /// Goes to an address and stays there.
    pub async fn asks(&mut self, url: &str) -> Response {
        let url: Url = self.really(url).parse().expect("a URL");
        let host = url.host_str().unwrap_or_default().to_owned();
        let mine = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies: Vec<_> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
        let request = self.http.get(url).header(COOKIE, cookies.join("; "));
        let response = request.send().await.expect("an answer");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("plain text").split(';').next().unwrap_or_default();
            let (name, value) = cookie.split_once('=').expect("a cookie");
            self.cookies.insert((host.clone(), name.to_owned()), value.to_owned());
        }
        Response::read(response).await.expect("an answer")
    }

    /// Takes up the cookies of an answer that a script of a page of this node has got.
    pub fn keeps_cookies_of(&mut self, answer: &Response) {
        let base: Url = self.api.base().parse().expect("a URL");
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("plain text").split(';').next().unwrap_or_default();
            let (name, value) = cookie.split_once('=').expect("a cookie");
            let host = base.host_str().unwrap_or_default().to_owned();
            self.cookies.insert((host, name.to_owned()), value.to_owned());
        }
    }

    /// Follows redirects from `url` until one leads to `end`, and says where exactly.
    pub async fn follows(&mut self, url: &str, end: &str) -> Url {
        let mut url = url.to_owned();
        for _ in 0..MOST {
            if url.starts_with(end) {
                return url.parse().expect("a URL");
            }
            let answer = self.asks(&url).await;
            let location = answer.headers.get(LOCATION).unwrap_or_else(|| {
                panic!("{url} led nowhere: {} {}", answer.status, answer.text);
            });
            let here: Url = self.really(&url).parse().expect("a URL");
            url = here.join(location.to_str().expect("plain text")).expect("a URL").into();
        }
        panic!("{url} goes round in circles");
    }

    fn really(&self, url: &str) -> String {
        match url.strip_prefix(PUBLIC) {
            Some(path) => format!("{}/{path}", self.api.base()),
            None => url.to_owned(),
        }
    }
}

/// A parameter in the query of an address; empty when it is not there.
pub fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Where an answer leads.
#[track_caller]
pub fn location(answer: &Response) -> Url {
    assert_eq!(answer.status, 302, "{}", answer.text);
    answer.header("location").parse().expect("a URL")
}
