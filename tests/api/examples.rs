//! The reference's examples, sent as pasted curl lines: each is answered with the documented status
//! and exactly the documented fields.

use janua_tests::reference::{self, Section, differences};
use janua_tests::shell::paste;
use janua_tests::{Authenticator, Node, Session};
use serde_json::{Value, json};

/// What clients need beyond the reference's examples, each with its reason.
const BEYOND: [(&str, &str); 2] = [
    (".data.excludeCredentials", "WebAuthn §5.4.3: an authenticator makes no second passkey"),
    (".data.authenticatorSelection", "WebAuthn §5.4.4: what the request asked for"),
];

/// The owner of the example, who has registered unless the example is the registration.
async fn signed_in(node: &Node, section: &Section) -> Option<Session> {
    if section.path == "/auth/register" {
        return None;
    }
    let request = section.request.as_ref();
    let given = |name: &str| request.and_then(|request| request[name].as_str());
    let password = given("currentPassword").or(given("password"));
    let password = password.unwrap_or("SecurePassword123!");
    let registered = node.api.registration("user@example.com", password).await.is_yes(201);
    Some(Session::of(&node.api, registered.data()))
}

/// The token that the example's user finds in a mail, if the example brings one.
async fn mailed_token(node: &Node, section: &Section) -> Option<String> {
    const USER: &str = "user@example.com";
    node.settles(json!({ "redirectUrls": ["https://app.example.com/auth/callback"] })).await;
    match section.path.as_str() {
        "/users/me/verify-email/confirm" => {}
        "/auth/magic-link/verify" => {
            let body = json!({ "email": USER });
            node.api.post("/auth/magic-link/send", body).await.is_yes(200);
        }
        _ => return None,
    }
    Some(node.mail_to(USER).await.token())
}

/// A session, and the section with what only the server and an authenticator can make in the place
/// of its samples; `None` where they do not matter.
async fn authentic(node: &Node, section: &Section) -> Option<(Session, Section)> {
    let known = ["/auth/login/mfa", "/auth/passkeys/register/complete"];
    let known = known.contains(&section.path.as_str());
    if !known && section.path != "/auth/passkeys/authenticate/complete" {
        return None;
    }
    let user = node.register("user").await;
    let request = match section.path.as_str() {
        "/auth/login/mfa" => {
            let mut app = user.enrols_an_app().await;
            let mut request = section.request.clone().expect("a sample");
            request["tempToken"] = user.shows_a_password().await.into();
            request["code"] = app.code().await.into();
            request
        }
        "/auth/passkeys/register/complete" => {
            Authenticator::new().makes(&user.session.begins_a_passkey().await).await
        }
        _ => {
            let (mut key, _) = user.session.registers_a_passkey().await;
            key.signs(&node.api.begins_passkey_login(json!({ "email": user.email })).await).await
        }
    };
    Some((user.session, Section { request: Some(request), ..section.clone() }))
}

/// The curl lines of a section, with the tokens and ids of a real session in place of the samples.
async fn lines(node: &Node, section: &Section, session: Option<&Session>) -> String {
    let mut path = section.path.clone();
    let mut body = section.request.clone();
    if let Some(token) = mailed_token(node, section).await {
        match body.as_mut().and_then(|body| body.get_mut("token")) {
            Some(sample) => *sample = token.into(),
            None => path = format!("'{path}?token={token}'"),
        }
    }
    if let Some(session) = session {
        if path.contains("{sessionId}") {
            path = path.replace("{sessionId}", &session.id().await);
        }
        if let Some(token) = body.as_mut().and_then(|body| body.get_mut("refreshToken")) {
            *token = session.refresh_token.clone().into();
        }
    }
    let mut lines = format!("curl -X {} http://localhost:3000{path}", section.method);
    if let Some(session) = session {
        lines += &format!(" \\\n  -H \"Authorization: Bearer {}\"", session.access_token);
    }
    if let Some(body) = body {
        let body = serde_json::to_string_pretty(&body).expect("JSON");
        lines += &format!(" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{body}'");
    }
    lines
}

/// What is wrong with the answer to an example.
async fn try_example(section: &Section) -> Vec<String> {
    let Some((status, example)) = &section.response else {
        return vec![];
    };
    let node = Node::start().await;
    let (session, section) = match authentic(&node, section).await {
        Some((session, section)) => (Some(session), section),
        None => (signed_in(&node, section).await, section.clone()),
    };
    let answer = paste(&lines(&node, &section, session.as_ref()).await, &node.api.address()).await;
    if answer.status != *status {
        return vec![format!("{} instead of {status}: {}", answer.status, answer.body)];
    }
    let mut wrong = differences(example, &answer.body, "");
    let beyond = |what: &String| BEYOND.iter().any(|(field, _)| what.starts_with(field));
    wrong.retain(|what| !beyond(what));
    if let Some(message) =
        example.get("message").filter(|message| **message != answer.body["message"])
    {
        wrong.push(format!(".message is not {message}"));
    }
    wrong
}

#[tokio::test]
async fn every_example_of_the_reference_is_answered_as_documented() {
    let declared = janua_http::api::endpoints();
    let mut tried = 0;
    let mut wrong = Vec::new();
    for section in reference::sections() {
        let known = declared.iter().any(|endpoint| {
            endpoint.path == section.path && endpoint.method.as_str() == section.method
        });
        // What a provider answers needs a provider: `oauth` has one, and holds this example to it.
        if known && !section.path.contains("{provider}") {
            tried += 1;
            let found = try_example(&section).await;
            wrong.extend(
                found.iter().map(|what| format!("{} {}: {what}", section.method, section.path)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 16, "only {tried} examples were tried");
}

#[tokio::test]
async fn the_curl_examples_of_the_reference_work_as_pasted() {
    let node = Node::start().await;
    let text = include_str!("../contract/reference.md");
    let (_, examples) = text.split_once("### cURL Examples").expect("the section");
    let (_, block) = examples.split_once("```bash\n").expect("the block");
    let (block, _) = block.split_once("\n```").expect("its end");
    let block = block.replace("https://api.janua.dev", "http://localhost:3000");
    let block = block.replace("your-api-key", &node.keys().publishable);
    let commands: Vec<_> = block.split("\n\n").collect();
    let mut answers: Vec<(u16, Value)> = Vec::new();
    for command in commands {
        let answer = paste(command, &node.api.address()).await;
        answers.push((answer.status, answer.body));
    }
    let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [201, 200], "{answers:?}");
}
