//! A message in the clothes and language of its tenant. What people have typed is escaped by the
//! templates, and a name is only used where it can be nothing but a name.

use askama::Template;

use super::message::Message;
use super::texts::{Language, Texts};
use crate::refusal::Refusal;
use crate::settings::Mail;

/// Without a sender of the tenant's or the deployment's.
const SENDER: &str = "Janua <no-reply@localhost>";

/// What the product is called where the tenant does not say.
const BRAND: &str = "Janua";

/// The longest name that anybody is greeted by, in characters.
const LONGEST_NAME: usize = 60;

/// A mail, ready to be sent or read.
pub struct Rendered {
    /// Sender, perhaps with a name.
    pub from: String,
    /// Recipient: the bare address.
    pub to: String,
    /// On one line.
    pub subject: String,
    /// As text.
    pub text: String,
    /// As HTML.
    pub html: String,
    /// Where it leads.
    pub link: String,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    language: &'static str,
    subject: &'a str,
    brand: &'a str,
    greeting: &'a str,
    texts: &'a Texts,
    link: &'a str,
    validity: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct Text<'a> {
    brand: &'a str,
    greeting: &'a str,
    texts: &'a Texts,
    link: &'a str,
    validity: Option<&'a str>,
}

/// Writes a message out.
pub fn render(message: Message, settings: &Mail) -> Result<Rendered, Refusal> {
    let language = Language::of(&settings.locale);
    let texts = language.texts(message.occasion);
    let brand = on_one_line(or(&settings.brand, BRAND));
    let subject = texts.subject(&brand);
    let name = message.name.as_deref().filter(|name| is_plainly_a_name(name));
    let greeting = language.greeting(name);
    let validity = message.valid_ms.map(|valid| language.validity(valid));
    let (texts, link, validity) = (&texts, message.link.as_str(), validity.as_deref());
    let (brand, greeting) = (brand.as_str(), greeting.as_str());
    let text = Text { brand, greeting, texts, link, validity }.render();
    let subject_line = subject.as_str();
    let language = language.tag();
    let html =
        Html { language, subject: subject_line, brand, greeting, texts, link, validity }.render();
    let broken = |error: askama::Error| Refusal::unavailable(format!("a template: {error}"));
    Ok(Rendered {
        from: or(&settings.from, SENDER).into(),
        text: text.map_err(broken)?,
        html: html.map_err(broken)?,
        to: message.to,
        subject,
        link: message.link,
    })
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Decision: whoever registers chooses the name, and may choose it for somebody else's mailbox. A name
/// that a mail program could make a link of, or that spans lines, is not repeated there.
fn is_plainly_a_name(name: &str) -> bool {
    let in_names = |character: char| character.is_alphabetic() || " -'’".contains(character);
    !name.trim().is_empty() && name.chars().count() <= LONGEST_NAME && name.chars().all(in_names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::message::Occasion;

    fn message(name: &str) -> Message {
        Message {
            occasion: Occasion::Verification,
            to: "user@example.com".into(),
            name: Some(name.into()),
            link: "https://a.example/ui/verify?token=evt_1_x&redirect_uri=b".into(),
            valid_ms: Some(3_600_000),
        }
    }

    #[test]
    fn a_mail_speaks_the_language_of_its_tenant_under_its_name() {
        let settings =
            Mail { from: "a@b.cd".into(), locale: "es-MX".into(), brand: "Ñandú & Co".into() };
        let mail = render(message("José"), &settings).expect("it renders");
        assert_eq!(mail.subject, "Verifica tu correo electrónico para Ñandú & Co");
        assert!(mail.text.starts_with("Hola, José:\n\n"), "{}", mail.text);
        assert!(mail.text.contains("\nhttps://a.example/ui/verify?token=evt_1_x&redirect_uri=b\n"));
        assert!(mail.text.contains("60 minutos") && mail.text.contains("Ñandú & Co"));
        assert!(mail.html.contains("<html lang=\"es\">") && mail.html.contains("Ñandú &#38; Co"));
        assert!(mail.html.contains("redirect_uri=b\""), "{}", mail.html);
    }

    #[test]
    fn what_is_no_name_is_not_repeated() {
        for name in [
            "Visit evil.example",
            "http://evil",
            "<img src=x>",
            "A\r\nBcc: x@y.z",
            "\u{202e}moc",
            " ",
            &"A".repeat(61),
        ] {
            let mail = render(message(name), &Mail::default()).expect("it renders");
            assert!(mail.text.starts_with("Hello,\n"), "{name:?} gave {}", mail.text);
            assert!(!mail.html.contains(name) || name == " ", "{name:?}");
        }
        let mail = render(message("Mary-Jane O'Neill"), &Mail::default()).expect("it renders");
        assert!(mail.text.starts_with("Hello Mary-Jane O'Neill,\n"));
        assert!(mail.html.contains("O&#39;Neill"), "{}", mail.html);
    }

    #[test]
    fn a_brand_is_text_and_stays_on_its_line() {
        let settings = Mail { brand: "<b>A</b>\r\nBcc: x@y.z".into(), ..Mail::default() };
        let mail = render(message("A"), &settings).expect("it renders");
        assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
        assert!(!mail.html.contains("<b>"), "{}", mail.html);
    }
}
