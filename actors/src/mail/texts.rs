//! The words of mails, in every language that there is.

use super::message::Occasion;

/// A language that mails are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `en`
    English,
    /// `es`
    Spanish,
}

/// The words of one occasion.
pub struct Texts {
    /// What comes before the name of the product.
    subject: &'static str,
    /// What it is about.
    pub lead: &'static str,
    /// What the link does.
    pub button: &'static str,
    /// What to do when it was somebody else.
    pub otherwise: &'static str,
}

impl Texts {
    /// The subject, with the name of the product in it.
    pub fn subject(&self, brand: &str) -> String {
        format!("{}{brand}", self.subject)
    }
}

impl Language {
    /// The language of a BCP 47 tag; English for those that mails are not written in.
    pub fn of(tag: &str) -> Self {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("es") { Self::Spanish } else { Self::English }
    }

    /// Its tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }

    /// How a mail begins.
    pub fn greeting(self, name: Option<&str>) -> String {
        match (self, name) {
            (Self::English, Some(name)) => format!("Hello {name},"),
            (Self::English, None) => "Hello,".into(),
            (Self::Spanish, Some(name)) => format!("Hola, {name}:"),
            (Self::Spanish, None) => "Hola:".into(),
        }
    }

    /// How long a link is good.
    pub fn validity(self, milliseconds: u64) -> String {
        let minutes = (milliseconds / 60_000).max(1);
        let (count, one, many) = match (self, minutes) {
            (Self::English, 120..) => (minutes / 60, "hour", "hours"),
            (Self::Spanish, 120..) => (minutes / 60, "hora", "horas"),
            (Self::English, _) => (minutes, "minute", "minutes"),
            (Self::Spanish, _) => (minutes, "minuto", "minutos"),
        };
        let unit = if count == 1 { one } else { many };
        match self {
            Self::English => format!("The link works once, for {count} {unit}."),
            Self::Spanish => format!("El enlace sirve una sola vez, durante {count} {unit}."),
        }
    }

    /// The words of an occasion.
    pub const fn texts(self, occasion: Occasion) -> Texts {
        match self {
            Self::English => english(occasion),
            Self::Spanish => spanish(occasion),
        }
    }
}

const fn english(occasion: Occasion) -> Texts {
    match occasion {
        Occasion::Verification => Texts {
            subject: "Verify your e-mail address for ",
            lead: "An account was created with this e-mail address. If you created it, please confirm the address.",
            button: "Verify e-mail address",
            otherwise: "If it was not you, say so on the page that the link opens: whoever created the account loses it.",
        },
        Occasion::PasswordReset => Texts {
            subject: "Reset your password for ",
            lead: "Somebody, probably you, has asked for a new password for your account.",
            button: "Choose a new password",
            otherwise: "If it was not you, ignore this mail: your password stays as it is.",
        },
        Occasion::MagicLink => Texts {
            subject: "Sign in to ",
            lead: "Use this link to sign in.",
            button: "Sign in",
            otherwise: "If you have not asked to sign in, ignore this mail, and give the link to nobody.",
        },
        Occasion::AlreadyRegistered => Texts {
            subject: "You already have an account with ",
            lead: "Somebody, probably you, has tried to register with this address, which has an account already. You can sign in, or ask there for a new password.",
            button: "Sign in",
            otherwise: "If it was not you, ignore this mail: nothing has changed.",
        },
        Occasion::Contested => Texts {
            subject: "Is this your account? ",
            lead: "This e-mail address was confirmed for an account that somebody else may have set up: its password, its second factor, other ways to sign in. If you have not set them up, take them away.",
            button: "It was not me",
            otherwise: "If you have set up everything yourself, ignore this mail: nothing changes.",
        },
    }
}

const fn spanish(occasion: Occasion) -> Texts {
    match occasion {
        Occasion::Verification => Texts {
            subject: "Verifica tu correo electrónico para ",
            lead: "Se ha creado una cuenta con esta dirección de correo electrónico. Si la has creado tú, confirma la dirección.",
            button: "Verificar correo electrónico",
            otherwise: "Si no has sido tú, dilo en la página que abre el enlace: quien creó la cuenta la pierde.",
        },
        Occasion::PasswordReset => Texts {
            subject: "Restablece tu contraseña de ",
            lead: "Alguien, probablemente tú, ha pedido una contraseña nueva para tu cuenta.",
            button: "Elegir una contraseña nueva",
            otherwise: "Si no has sido tú, ignora este mensaje: tu contraseña sigue siendo la misma.",
        },
        Occasion::MagicLink => Texts {
            subject: "Inicia sesión en ",
            lead: "Usa este enlace para iniciar sesión.",
            button: "Iniciar sesión",
            otherwise: "Si no has pedido iniciar sesión, ignora este mensaje y no des el enlace a nadie.",
        },
        Occasion::AlreadyRegistered => Texts {
            subject: "Ya tienes una cuenta en ",
            lead: "Alguien, probablemente tú, ha intentado registrarse con esta dirección, que ya tiene una cuenta. Puedes iniciar sesión o pedir allí una contraseña nueva.",
            button: "Iniciar sesión",
            otherwise: "Si no has sido tú, ignora este mensaje: nada ha cambiado.",
        },
        Occasion::Contested => Texts {
            subject: "¿Es tuya esta cuenta? ",
            lead: "Esta dirección de correo electrónico se confirmó para una cuenta que puede haber configurado otra persona: su contraseña, su segundo factor, otras formas de entrar. Si no las has puesto tú, quítaselas.",
            button: "No he sido yo",
            otherwise: "Si lo has configurado todo tú, ignora este mensaje: no cambia nada.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_language() {
        for (tag, language) in [
            ("es", Language::Spanish),
            ("es-MX", Language::Spanish),
            ("ES_ar", Language::Spanish),
            ("en-GB", Language::English),
            ("est", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::of(tag), language, "{tag}");
        }
    }

    #[test]
    fn a_time_is_told_in_its_unit() {
        let told = |minutes: u64| Language::English.validity(minutes * 60_000);
        assert_eq!(told(15), "The link works once, for 15 minutes.");
        assert_eq!(told(60), "The link works once, for 60 minutes.");
        assert_eq!(told(48 * 60), "The link works once, for 48 hours.");
        assert!(Language::Spanish.validity(60_000).contains("1 minuto."));
    }
}
