//! The mails that a node has kept in place of sending them.

use janua_tests::node::answer;
use janua_tests::{Node, wait};
use reqwest::Method;

/// Path and query of the link in the last mail to this address whose path is the one given.
pub async fn link_to(node: &Node, path: &str, email: &str) -> String {
    let what = format!("a mail with a link to {path} is there for {email}");
    wait::until(&what, async || {
        let request = node.api.request(Method::GET, "/admin/outbox?limit=100");
        let outbox = answer(request.bearer_auth(node.keys().operator)).await.is_yes(200);
        let mails = outbox.data()["mails"].as_array().expect("mails").clone();
        let theirs = mails.iter().filter(|mail| mail["to"] == email);
        let links = theirs.flat_map(|mail| mail["links"].as_array().cloned().unwrap_or_default());
        let links = links.filter_map(|link| Some(within(link.as_str()?)));
        links.into_iter().find(|link| link.starts_with(path))
    })
    .await
}

/// A link without the origin, which is that of the configuration and not that of the test.
fn within(link: &str) -> String {
    let (_, rest) = link.split_once("://").expect("an address");
    rest.split_once('/').map(|(_, path)| format!("/{path}")).unwrap_or_default()
}
