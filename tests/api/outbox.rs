//! The mails themselves: kept for the operator without a mail server, sent where there is one.

use janua_tests::mails::token_in;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::{has_exactly, unix_seconds};
use janua_tests::smtp::{self, MailServer};
use janua_tests::{Node, wait};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn without_a_mail_server_the_operator_reads_what_would_be_sent() {
    let node = Node::start().await;
    for name in ["alice", "bob", "carol"] {
        node.register(name).await;
    }
    let list = async |query: &str| {
        let path = format!("/admin/outbox{query}");
        node.operator(Method::GET, &path, None).await.is_yes(200)
    };
    let answer = list("").await;
    has_exactly(answer.data(), &["mails", "totalCount", "hasMore"]);
    assert_eq!(
        (&answer.data()["totalCount"], &answer.data()["hasMore"]),
        (&json!(3), &json!(false))
    );
    let mail = &answer.data()["mails"][0];
    let fields = ["id", "tenantId", "to", "subject", "text", "html", "links", "createdAt"];
    has_exactly(mail, &fields);
    assert_eq!(mail["to"], "carol@example.com", "the newest comes first");
    assert_eq!(mail["tenantId"], "default");
    assert!(mail["id"].as_str().expect("an id").starts_with("mail_"));
    assert!(unix_seconds(&mail["createdAt"]) > 1_700_000_000);
    let page = list("?limit=1&offset=1&tenantId=default").await;
    assert_eq!(page.data()["mails"][0]["to"], "bob@example.com");
    assert_eq!(page.data()["hasMore"], true);
    for wrong in ["?limit=0", "?limit=101", "?limit=x", "?offset=-1"] {
        let refused = node.operator(Method::GET, &format!("/admin/outbox{wrong}"), None).await;
        refused.is_no(400, "validation_error");
    }
    let foreign = node.operator(Method::GET, "/admin/outbox?tenantId=ten_other", None).await;
    foreign.is_no(404, "resource_not_found");
}

#[tokio::test]
async fn a_development_log_names_recipient_subject_and_link() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mail = node.mail_to(&alice.email).await;
    wait::until("the log names the mail", async || {
        let log = node.log.text();
        let line = log.lines().find(|line| line.contains(&alice.email))?.to_owned();
        assert!(line.contains(&mail.subject) && line.contains(&mail.link), "{line}");
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_log_of_a_public_address_names_no_link() {
    let node = Node::with("http.public_url", "https://id.example.com").start().await;
    let alice = node.register("alice").await;
    let mail = node.mail_to(&alice.email).await;
    assert!(mail.link.starts_with("https://id.example.com/ui/verify?token=evt_"), "{}", mail.link);
    wait::until("the log names the mail", async || {
        node.log.text().contains(&mail.subject).then_some(())
    })
    .await;
    assert!(!node.log.text().contains(&mail.token()), "a secret is on the log");
    assert!(node.log.text().contains("no mail is sent"), "start-up says so");
}

#[tokio::test]
async fn links_come_from_the_configuration_whatever_a_request_calls_the_server() {
    let node = Node::with("mail.link_base_url", "https://login.example.com/x").start().await;
    let alice = node.register("alice").await;
    for path in ["/auth/password/forgot", "/auth/magic-link/send"] {
        let request = node.api.request(Method::POST, path).json(&json!({ "email": alice.email }));
        let request = request
            .header("Host", "evil.example")
            .header("X-Forwarded-Host", "evil.example")
            .header("X-Forwarded-Proto", "http")
            .header("X-Original-Host", "evil.example")
            .header("Forwarded", "host=evil.example;proto=http")
            .header("Origin", "https://evil.example");
        answer(request).await.is_yes(200);
        let mail = node.mail_to(&alice.email).await;
        assert!(mail.link.starts_with("https://login.example.com/x/ui/"), "{}", mail.link);
        assert!(!format!("{mail:?}").contains("evil"), "{mail:?}");
    }
}

#[tokio::test]
async fn a_mail_wears_its_tenant_s_name_and_speaks_its_language() {
    let node = Node::start().await;
    let brand = "Ñandú <Labs> & Co";
    node.settles(json!({ "mail": { "locale": "es-MX", "brand": brand } })).await;
    node.api.registration("alice@example.com", PASSWORD).await.is_yes(201);
    let mail = node.mail_to("alice@example.com").await;
    assert_eq!(mail.subject, format!("Verifica tu correo electrónico para {brand}"));
    assert!(mail.text.starts_with("Hola:\n\nSe ha creado una cuenta"), "{}", mail.text);
    assert!(mail.html.contains("<html lang=\"es\">"), "{}", mail.html);
    assert!(mail.html.contains("Ñandú &#60;Labs&#62; &#38; Co"), "{}", mail.html);
    for wrong in [
        json!({ "from": "nobody" }),
        json!({ "from": "A <a@example.com>\r\nBcc: b@example.com" }),
        json!({ "brand": "A\r\nBcc: b@example.com" }),
        json!({ "locale": "<es>" }),
    ] {
        let body = Some(json!({ "settings": { "mail": wrong } }));
        let refused = node.operator(Method::PATCH, "/admin/tenants/default", body).await;
        refused.is_no(400, "validation_error");
    }
}

#[tokio::test]
async fn a_name_can_neither_add_a_header_nor_markup_nor_a_link() {
    let node = Node::start().await;
    let registers = async |number: usize, name: &str| {
        let email = format!("user-{number}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "firstName": name });
        (node.api.post("/auth/register", body).await, email)
    };
    for (number, name) in ["A\r\nBcc: b@example.com", "A\nB", "A\u{85}B"].into_iter().enumerate() {
        registers(number, name).await.0.is_no(400, "validation_error");
    }
    let names =
        ["<script>alert(1)</script>", "<a href=x>", "Win at evil.example", "http://evil.example"];
    for (number, name) in names.into_iter().enumerate() {
        let (answer, email) = registers(10 + number, name).await;
        answer.is_yes(201);
        let mail = node.mail_to(&email).await;
        for part in [&mail.subject, &mail.text, &mail.html] {
            assert!(!part.contains(name) && !part.contains("evil"), "{name}: {part}");
        }
    }
    let (answer, email) = registers(20, "Zoë O'Neill").await;
    answer.is_yes(201);
    let mail = node.mail_to(&email).await;
    assert!(mail.text.starts_with("Hello Zoë O'Neill,"), "{}", mail.text);
    assert!(mail.html.contains("Zoë O&#39;Neill"), "{}", mail.html);
}

#[tokio::test]
async fn a_mail_server_gets_each_mail_once_and_no_operator_reads_it() {
    let server = MailServer::start(&smtp::Setup::default()).await;
    let node = Node::with("mail.smtp_url", server.url("")).start().await;
    node.settles(json!({ "mail": { "from": "Acme <no-reply@acme.example>" } })).await;
    let body = json!({ "email": "alice@example.com", "password": PASSWORD, "firstName": "Zoë" });
    node.api.post("/auth/register", body).await.is_yes(201);
    let mail = server.mail_to("alice@example.com").await;
    assert_eq!(mail.from, "no-reply@acme.example");
    assert_eq!(mail.header("From"), "Acme <no-reply@acme.example>");
    assert_eq!(mail.header("To"), "alice@example.com");
    assert_eq!(mail.header("Subject"), "Verify your e-mail address for Janua");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.header("Message-ID").ends_with("@acme.example>"), "{mail:?}");
    assert!(mail.text.starts_with("Hello Zoë,"), "{}", mail.text);
    assert!(mail.html.contains("<html lang=\"en\">"), "{}", mail.html);
    let link = mail.text.lines().find(|line| line.starts_with("http")).expect("a link");
    let body = json!({ "token": token_in(link) });
    node.api.post("/auth/verify-email", body).await.is_yes(200);
    assert!(node.mails().await.is_empty(), "what is sent is kept for nobody");
    assert!(!node.log.text().contains(&token_in(link)), "a secret is on the log");
    node.restart().await;
    node.register("bob").await;
    server.mail_to("bob@example.com").await;
    assert_eq!(server.mails().len(), 2, "a restart sends nothing twice");
}

#[tokio::test]
async fn a_mail_server_is_spoken_to_over_tls_and_shown_the_password() {
    let setup = smtp::Setup { login: Some(("janua", "p@ss:word")), ..smtp::Setup::with_tls() };
    let server = MailServer::start(&setup).await;
    let authority = server.certificate().display().to_string();
    let node = Node::with("mail.smtp_url", server.url("janua:p%40ss%3Aword@"))
        .with("mail.smtp_ca", authority)
        .start()
        .await;
    node.register("alice").await;
    let mail = server.mail_to("alice@example.com").await;
    assert!(mail.over_tls && mail.login == "janua", "{mail:?}");
    assert!(!node.log.text().contains("p@ss") && !node.log.text().contains("p%40ss"));
}

#[tokio::test]
async fn a_password_is_not_shown_to_a_server_without_tls_or_with_a_foreign_certificate() {
    let plain = MailServer::start(&smtp::Setup::default()).await;
    let foreign = MailServer::start(&smtp::Setup::with_tls()).await;
    for server in [plain, foreign] {
        let node = Node::with("mail.smtp_url", server.url("janua:password@")).start().await;
        node.register("alice").await;
        wait::until("the log says that the mail is tried again", async || {
            node.log.text().contains("tried again").then_some(())
        })
        .await;
        assert!(server.mails().is_empty());
        assert!(!node.log.text().contains("password@"), "{}", node.log.text());
    }
}

#[tokio::test]
async fn a_mail_to_somebody_who_is_gone_is_not_sent() {
    let port = smtp::free_port();
    let node = Node::with("mail.smtp_url", format!("smtp://127.0.0.1:{port}")).start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    for email in [&alice.email, &bob.email] {
        let body = json!({ "email": email });
        node.api.post("/auth/password/forgot", body.clone()).await.is_yes(200);
        node.api.post("/auth/magic-link/send", body).await.is_yes(200);
    }
    let carol = node.register("carol").await;
    wait::until("the log says that mails are tried again", async || {
        node.log.text().contains("tried again").then_some(())
    })
    .await;
    let delete = json!({ "password": alice.password, "confirmation": "DELETE" });
    alice.session.delete_with("/users/me", delete).await.is_yes(200);
    let path = format!("/users/{}", bob.id);
    answer(node.server(Method::DELETE, &path)).await.is_yes(200);
    let setup = smtp::Setup { port, ..smtp::Setup::default() };
    let server = MailServer::start(&setup).await;
    // What was posted after theirs has come, and after that what one of their age would have waited.
    server.mail_to(&carol.email).await;
    node.register("dave").await;
    server.mail_to("dave@example.com").await;
    let (last, address) = (node.register("alice").await, "alice@example.com");
    server.mail_to(address).await;
    let mails = server.mails();
    let to =
        |address: &str| mails.iter().filter(|mail| mail.to.iter().any(|to| to == address)).count();
    assert_eq!((to(&last.email), to(&bob.email)), (1, 0), "{mails:?}");
}

#[tokio::test]
async fn kept_mails_of_somebody_who_is_gone_are_kept_no_more() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    node.api.post("/auth/password/forgot", json!({ "email": alice.email })).await.is_yes(200);
    assert_eq!(node.mails_to(&alice.email).await.len(), 2);
    let delete = json!({ "password": alice.password, "confirmation": "DELETE" });
    alice.session.delete_with("/users/me", delete).await.is_yes(200);
    assert_eq!(node.mails_to(&alice.email).await.len(), 0);
    assert_eq!(node.mails_to(&bob.email).await.len(), 1);
}

#[tokio::test]
async fn a_mail_waits_for_a_server_that_is_down_over_a_kill_and_no_request_waits_for_it() {
    let port = smtp::free_port();
    let node = Node::with("mail.smtp_url", format!("smtp://127.0.0.1:{port}")).start().await;
    node.register("alice").await;
    wait::until("the log says that the mail is tried again", async || {
        node.log.text().contains("tried again").then_some(())
    })
    .await;
    node.kill_9();
    node.restart().await;
    let setup = smtp::Setup { port, refusals: 1, ..smtp::Setup::default() };
    let server = MailServer::start(&setup).await;
    server.mail_to("alice@example.com").await;
    let ids = server.message_ids();
    assert_eq!(ids.len(), 2, "one attempt was refused for the moment");
    assert_eq!(ids[0], ids[1], "each attempt has the same Message-ID");
}
