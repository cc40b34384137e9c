//! Writers that keep a diary of what was answered, and readers that hold a node to it.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::node::{Api, answer, send};
use crate::people::{PASSWORD, Session};
use crate::response::Response;
use crate::wait;

/// What one account has been told.
#[derive(Debug, Clone)]
pub struct Page {
    /// The account's address.
    pub email: String,
    /// Its id and the access token of its registration; none when that was not answered.
    pub registered: Option<(String, String)>,
    /// Whether the end of its session was asked for, and whether that was answered.
    pub logout: Logout,
}

/// How far a logout got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logout {
    /// Not asked for.
    No,
    /// Asked for; the answer was lost.
    Asked,
    /// Answered.
    Answered,
}

/// Writers at work on one node, until it is gone.
pub struct Writers(JoinSet<Vec<Page>>);

impl Writers {
    /// Starts `count` writers with addresses of their own under `name`.
    pub fn start(api: &Api, name: &str, count: usize) -> Self {
        let mut writers = JoinSet::new();
        for number in 0..count {
            let (api, name) = (api.over_new_connections(), format!("{name}-{number}"));
            writers.spawn(async move { write_until_gone(&api, &name).await });
        }
        Self(writers)
    }

    /// Their pages, once the node is gone and each has noticed.
    pub async fn pages(self) -> Vec<Page> {
        self.0.join_all().await.into_iter().flatten().collect()
    }
}

async fn write_until_gone(api: &Api, name: &str) -> Vec<Page> {
    let mut pages = Vec::new();
    for number in 0.. {
        let email = format!("{name}-{number}@example.com");
        let (page, gone) = write_page(api, email, number % 3 == 0).await;
        pages.push(page);
        if gone {
            break;
        }
    }
    pages
}

/// One account: registered, refreshed, perhaps logged out. Whether the node is gone.
async fn write_page(api: &Api, email: String, logs_out: bool) -> (Page, bool) {
    let mut page = Page { email, registered: None, logout: Logout::No };
    let registration = json!({ "email": page.email, "password": PASSWORD, "firstName": "Whole" });
    let Ok(registered) = api.try_post("/auth/register", registration).await else {
        return (page, true);
    };
    if registered.status != 201 {
        return (page, false);
    }
    let session = Session::of(api, registered.data());
    page.registered = Some((registered.text_of("user.id"), session.access_token.clone()));
    let refresh = json!({ "refreshToken": session.refresh_token });
    let Ok(refreshed) = api.try_post("/auth/refresh", refresh).await else {
        return (page, true);
    };
    if !logs_out || refreshed.status != 200 {
        return (page, false);
    }
    page.logout = Logout::Asked;
    let logout = json!({ "refreshToken": refreshed.text_of("refreshToken") });
    let logout = session.request(Method::POST, "/auth/logout").json(&logout);
    match send(logout).await {
        Ok(answer) if answer.status == 200 => page.logout = Logout::Answered,
        Ok(_) => {}
        Err(_) => return (page, true),
    }
    (page, false)
}

/// Holds a node to every page: what was answered is there, what was not is there whole or not at all.
pub async fn is_kept(api: &Api, pages: &[Page]) {
    let share = pages.len().div_ceil(16).max(1);
    let readers = pages.chunks(share).map(async |pages| {
        for page in pages {
            page_is_kept(api, page).await;
        }
    });
    join_all(readers).await;
}

async fn page_is_kept(api: &Api, page: &Page) {
    let Some((id, token)) = &page.registered else {
        return is_whole_or_absent(api, &page.email).await;
    };
    let me = api.me(token).await;
    match page.logout {
        Logout::Answered => assert_eq!(me.status, 401, "{}: its end is forgotten", page.email),
        Logout::Asked if me.status == 401 => {}
        _ => {
            assert_eq!(me.status, 200, "{} is lost: {}", page.email, me.text);
            assert_eq!(me.text_of("id"), *id);
            assert_eq!(me.text_of("firstName"), "Whole");
        }
    }
}

/// An unanswered registration: with its password, its name and its session, or not at all.
async fn is_whole_or_absent(api: &Api, email: &str) {
    let login = patiently(async || api.login(email, PASSWORD).await).await;
    if login.status == 401 {
        patiently(async || api.registration(email, PASSWORD).await).await.is_yes(201);
        return;
    }
    let login = login.is_yes(200);
    assert_eq!(login.text_of("user.firstName"), "Whole");
    let session = Session::of(api, login.data());
    let sessions = answer(session.request(Method::GET, "/sessions")).await.is_yes(200);
    let count = sessions.data()["sessions"].as_array().map(Vec::len);
    assert_eq!(count, Some(2), "{email}: the session of its registration is missing");
}

/// Asks again for as long as the answer is that hashing is too busy.
async fn patiently(ask: impl AsyncFn() -> Response) -> Response {
    wait::until("the node has time to hash", async || {
        let answer = ask().await;
        (answer.status != 503).then_some(answer)
    })
    .await
}

/// Lets writers write for a while.
pub async fn for_a_while(time: Duration) {
    tokio::time::sleep(time).await;
}
