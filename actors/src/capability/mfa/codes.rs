//! The codes themselves: those of authenticator apps (RFC 6238: SHA-1, six digits, thirty seconds,
//! what every app speaks), and backup codes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use janua_storage::ids::UserId;
use janua_storage::moment::Moment;
use janua_storage::secret::{Secret, SecretHash};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use totp_rs::{Builder, TotpError};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::refusal::Refusal;

/// How many backup codes a user gets.
const BACKUP_CODES: usize = 10;

/// Letters and digits that are not taken for each other (Crockford's base32).
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A set of sixteen such letters holds 80 bits: nobody guesses one, even from its hash.
const LETTERS_OF_CODE: usize = 24;

/// What an app and the server share.
pub(super) struct Seed(pub Zeroizing<Vec<u8>>);

impl Seed {
    /// A new one: 160 bits (RFC 4226 §4, R6).
    pub fn draw(clock: &dyn Clock) -> Self {
        Self(Zeroizing::new(clock.random::<20>().to_vec()))
    }

    /// As people type it into an app.
    pub fn secret(&self) -> Secret {
        let secret = totp_rs::Secret::from(self.0.as_slice());
        Secret::given(&Zeroizing::new(secret.to_base32()))
    }

    /// The seed that `secret` gave.
    pub fn of_secret(secret: &Secret) -> Result<Self, Refusal> {
        let seed = totp_rs::Secret::try_from_base32(secret.expose())
            .map_err(|_| Refusal::unavailable("a recorded seed that is not base32"))?;
        Ok(Self(Zeroizing::new(seed.as_ref().to_vec())))
    }

    /// As apps read it from a QR code (Key URI Format).
    pub fn uri(&self, issuer: &str, account: &str) -> Result<Secret, Refusal> {
        // A colon would end the issuer's part of the label.
        let plain = |text: &str| text.replace(':', " ");
        let app = Builder::new()
            .with_secret(self.0.as_slice())
            .with_issuer(Some(plain(issuer)))
            .with_account_name(plain(account))
            .build()
            .and_then(|app| app.to_url().map(Zeroizing::new))
            .map_err(unusable)?;
        Ok(Secret::given(&app))
    }

    /// The time step that a code is of, when it is of the present one or a neighbour (RFC 6238 §5.2).
    pub fn step_of(&self, code: &str, now: Moment) -> Result<Option<u64>, Refusal> {
        let digits: Zeroizing<String> =
            Zeroizing::new(code.chars().filter(|c| !c.is_whitespace()).collect());
        let app = Builder::new().with_secret(self.0.as_slice()).build().map_err(unusable)?;
        Ok(app.check(&digits, now.unix_seconds()))
    }
}

fn unusable(error: TotpError) -> Refusal {
    Refusal::unavailable(format!("the seed of an app: {error}"))
}

/// A QR code as the source of an image.
pub(super) fn qr_code(uri: &Secret) -> Result<Secret, Refusal> {
    let code = QrCode::with_error_correction_level(uri.expose(), EcLevel::M)
        .map_err(|error| Refusal::unavailable(format!("a QR code: {error}")))?;
    let image = Zeroizing::new(code.render::<svg::Color<'_>>().min_dimensions(240, 240).build());
    let encoded = Zeroizing::new(STANDARD.encode(image.as_bytes()));
    Ok(Secret::given(&Zeroizing::new(format!("data:image/svg+xml;base64,{}", *encoded))))
}

/// New backup codes, in groups of four letters.
pub(super) fn draw_backup_codes(clock: &dyn Clock) -> Vec<Secret> {
    (0..BACKUP_CODES).map(|_| draw_backup_code(clock)).collect()
}

fn draw_backup_code(clock: &dyn Clock) -> Secret {
    let random = Zeroizing::new(clock.random::<LETTERS_OF_CODE>());
    let mut code = Zeroizing::new(String::with_capacity(LETTERS_OF_CODE * 5 / 4));
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(LETTERS[usize::from(byte % 32)]));
    }
    Secret::given(&code)
}

/// What is stored of a backup code: salted with its owner, however it is typed.
pub(super) fn hash_of_backup_code(user: UserId, code: &str) -> SecretHash {
    let mut plain = Zeroizing::new(user.to_string());
    plain.push(' ');
    for letter in code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(64) {
        plain.push(match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            letter => letter,
        });
    }
    SecretHash::of(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// RFC 6238, appendix B, its eight digits cut to six.
    #[test]
    fn codes_are_those_of_the_standard() {
        let seed = Seed(Zeroizing::new(b"12345678901234567890".to_vec()));
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = seed.step_of(code, Moment(seconds * 1000)).expect("a good seed");
            assert_eq!(step, Some(seconds / 30), "{code}");
        }
        let at = |seconds: u64| seed.step_of("287082", Moment(seconds * 1000)).expect("a seed");
        assert_eq!((at(29), at(89), at(119)), (Some(1), Some(1), None), "neighbours, no more");
        assert_eq!(seed.step_of("287 082", Moment(59_000)).expect("a seed"), Some(1));
    }

    #[test]
    fn an_app_is_told_who_it_is_for() {
        let seed = Seed(Zeroizing::new(b"12345678901234567890".to_vec()));
        let uri = seed.uri("Acme: Inc", "user@example.com").expect("a URI");
        let rest = "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%20Inc";
        let label = "otpauth://totp/Acme%20%20Inc:user%40example.com";
        assert_eq!(uri.expose(), format!("{label}{rest}"));
        let seed_again = Seed::of_secret(&seed.secret()).expect("base32");
        assert_eq!(seed_again.0, seed.0);
        let image = qr_code(&uri).expect("a QR code");
        assert!(image.expose().starts_with("data:image/svg+xml;base64,"));
    }

    #[test]
    fn a_backup_code_may_be_typed_in_many_ways() {
        let codes = draw_backup_codes(&SystemClock::default());
        assert_eq!(codes.len(), BACKUP_CODES);
        let user = UserId::new(1, 2);
        let code = codes[0].expose();
        assert_eq!(code.len(), 29, "{code}");
        let kept = hash_of_backup_code(user, code);
        let shouted = code.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "L");
        assert_eq!(hash_of_backup_code(user, &shouted), kept);
        assert_ne!(hash_of_backup_code(UserId::new(1, 3), code), kept);
        assert_ne!(hash_of_backup_code(user, codes[1].expose()), kept);
    }
}
