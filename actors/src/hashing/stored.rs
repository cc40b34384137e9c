//! The forms in which a password may be stored: our own, and those that other systems leave behind.
//! Whatever it is, the first login that shows the password brings it to our own.
//!
//! | form | written by |
//! |---|---|
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, `argon2i`, `argon2d` | PHC; Django behind `argon2` |
//! | `$2a$`, `$2b$`, `$2y$` | bcrypt; Django behind `bcrypt$` and `bcrypt_sha256$` |
//! | `$scrypt$ln=…,r=…,p=…$salt$hash` | PHC, passlib |
//! | `$7$…$hash` | libxcrypt |
//! | `scrypt:N:r:p$salt$hex`, `scrypt$N$salt$r$p$base64` | Werkzeug, Django |
//! | `$pbkdf2-sha256$i=…$salt$hash`, `$pbkdf2-sha256$29000$salt$hash` | PHC, passlib; `sha512` too, SHA-1 as `$pbkdf2$` |
//! | `pbkdf2_sha256$N$salt$base64`, `pbkdf2:sha256:N$salt$hex` | Django, Werkzeug; `sha1` and `sha512` too |

use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params, Version};
use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{HashingError, Memory, Plaintext, fill};

/// The most that verifying an imported hash may cost: about a second of one core.
mod limits {
    pub const BCRYPT_COST: u32 = 14;
    pub const PBKDF2_WORK: u64 = 2_000_000;
    pub const ARGON2_MEMORY_KIB: u32 = 256 * 1024;
    pub const ARGON2_WORK_KIB: u64 = 1024 * 1024;
    pub const ARGON2_LANES: u32 = 16;
    pub const SCRYPT_MEMORY: u64 = 128 * 1024 * 1024;
    pub const SCRYPT_WORK: u64 = 256 * 1024 * 1024;
}

/// Salt and output stay within these.
const LONGEST_PART: usize = 128;

/// As many rounds of scrypt as PBKDF2 takes at both its ends.
const SCRYPT_ENDS: u64 = 16;

/// Fewer bytes of output would match too much.
const SHORTEST_OUTPUT: usize = 16;

/// Why a hash cannot be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not of a form that is known here.
    #[error("is not a password hash of a known form")]
    Unknown,
    /// Verifying it would take too long.
    #[error("would cost too much to verify")]
    TooDear,
}

/// A stored password, taken apart.
pub(super) enum Stored {
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Bcrypt {
        text: String,
        digested: bool,
    },
    Scrypt {
        params: scrypt::Params,
        work: u64,
        memory: u64,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Pbkdf2 {
        digest: pbkdf2::Algorithm,
        iterations: NonZeroU32,
        work: u64,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
}

/// Whether an imported hash can be verified here, at a bearable cost.
pub fn check(text: &str) -> Result<(), Unusable> {
    let stored = Stored::parse(text).ok_or(Unusable::Unknown)?;
    if stored.is_bearable() { Ok(()) } else { Err(Unusable::TooDear) }
}

impl Stored {
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("argon2$argon2") {
            return argon2(&format!("$argon2{rest}"));
        }
        match text.split_once('$')? {
            ("", rest) if rest.starts_with("argon2") => argon2(text),
            ("", rest) if rest.starts_with('2') => bcrypt(text, false),
            ("", rest) if rest.starts_with("scrypt$") => scrypt_phc(rest),
            ("", rest) if rest.starts_with("7$") => scrypt_crypt(&rest[2..]),
            ("", rest) if rest.starts_with("pbkdf2") => pbkdf2_phc(rest),
            ("bcrypt", rest) => bcrypt(rest, false),
            ("bcrypt_sha256", rest) => bcrypt(rest, true),
            ("scrypt", rest) => scrypt_django(rest),
            (head, rest) => match head.split_once([':', '_'])? {
                ("scrypt", costs) => scrypt_werkzeug(costs, rest),
                ("pbkdf2", of) => pbkdf2_other(of, rest),
                _ => None,
            },
        }
    }

    /// Whether it is what this program writes under these parameters.
    pub fn is_current(&self, wanted: &Params) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        matches!(self, Self::Argon2 { algorithm: Algorithm::Argon2id, version: Version::V0x13, params, .. }
            if costs(params) == costs(wanted))
    }

    fn is_bearable(&self) -> bool {
        match self {
            Self::Argon2 { params, .. } => {
                let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
                params.m_cost() <= limits::ARGON2_MEMORY_KIB
                    && work <= limits::ARGON2_WORK_KIB
                    && params.p_cost() <= limits::ARGON2_LANES
            }
            Self::Bcrypt { text, .. } => {
                cost_of(text).is_some_and(|cost| cost <= limits::BCRYPT_COST)
            }
            Self::Scrypt { work, memory, .. } => {
                *memory <= limits::SCRYPT_MEMORY && *work <= limits::SCRYPT_WORK
            }
            Self::Pbkdf2 { work, .. } => *work <= limits::PBKDF2_WORK,
        }
    }

    /// Whether `password` is the one that was stored.
    pub fn is(&self, password: &Plaintext, memory: &mut Memory) -> Result<bool, HashingError> {
        let bytes = password.expose().as_bytes();
        let mut found = Zeroizing::new(vec![0; self.output().len()]);
        match self {
            Self::Argon2 { algorithm, version, params, salt, .. } => {
                fill(params, (*algorithm, *version), password, salt, &mut found, memory)?;
            }
            Self::Bcrypt { text, digested } => {
                let digest = Zeroizing::new(hex(&Sha256::digest(bytes)));
                let bytes = if *digested { digest.as_bytes() } else { bytes };
                return bcrypt::verify(bytes, text).map_err(HashingError::new);
            }
            Self::Scrypt { params, salt, .. } => {
                scrypt::scrypt(bytes, salt, params, &mut found).map_err(HashingError::new)?;
            }
            Self::Pbkdf2 { digest, iterations, salt, .. } => {
                pbkdf2::derive(*digest, *iterations, salt, bytes, &mut found);
            }
        }
        Ok(found.as_slice().ct_eq(self.output()).into())
    }

    fn output(&self) -> &[u8] {
        match self {
            Self::Argon2 { output, .. }
            | Self::Scrypt { output, .. }
            | Self::Pbkdf2 { output, .. } => output,
            Self::Bcrypt { .. } => &[],
        }
    }
}

fn argon2(text: &str) -> Option<Stored> {
    let hash = PasswordHash::new(text).ok()?;
    let algorithm = Algorithm::new(hash.algorithm.as_str()).ok()?;
    let version = match hash.version {
        Some(version) => Version::try_from(version).ok()?,
        // The form is older than its version field.
        None => Version::V0x10,
    };
    let params = Params::try_from(&hash).ok()?;
    let (salt, output) = (hash.salt?.as_ref().to_vec(), hash.hash?.as_ref().to_vec());
    Some(Stored::Argon2 { algorithm, version, params, salt, output })
}

fn bcrypt(text: &str, digested: bool) -> Option<Stored> {
    let cost = cost_of(text)?;
    let known = ["$2a$", "$2b$", "$2y$"].iter().any(|form| text.starts_with(form));
    let crypt64 = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
    let formed = text.len() == 60 && text.bytes().skip(7).all(crypt64) && (4..=31).contains(&cost);
    if !(known && formed) {
        return None;
    }
    let (head, hash) = text.split_at_checked(29)?;
    let text =
        format!("{}{}", without_padding(head, 0b11_0000)?, without_padding(hash, 0b11_1100)?);
    Some(Stored::Bcrypt { text, digested })
}

/// The same with no more of its last letter than counts: some programs have left bits in the rest, which
/// crypt passes over.
fn without_padding(text: &str, counts: u8) -> Option<String> {
    const LETTERS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let (start, last) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value = LETTERS.iter().position(|known| last.as_bytes() == [*known])?;
    let letter = LETTERS[value & usize::from(counts)];
    Some(format!("{start}{}", char::from(letter)))
}

fn cost_of(bcrypt: &str) -> Option<u32> {
    let digits = bcrypt.get(4..6).filter(|digits| digits.bytes().all(|d| d.is_ascii_digit()))?;
    digits.parse().ok().filter(|_| bcrypt.get(6..7) == Some("$"))
}

/// `scrypt$ln=16,r=8,p=1$salt$hash`
fn scrypt_phc(text: &str) -> Option<Stored> {
    let [_, costs, salt, output] = parts(text)?;
    let mut values = costs.split(',').map(|cost| cost.split_once('='));
    let mut value = |name: &str| values.next()??.1.parse().ok().filter(|_| costs.contains(name));
    let (log_n, r, p): (u32, u32, u32) = (value("ln=")?, value("r=")?, value("p=")?);
    scrypt_of(1_u64.checked_shl(log_n)?, r, p, base64(salt)?, base64(output)?)
}

/// `NrrrrrpppppSALT$hash`, numbers and hash in crypt's own base64, as libxcrypt writes it.
fn scrypt_crypt(text: &str) -> Option<Stored> {
    let (head, output) = text.split_once('$')?;
    let number = |at: std::ops::Range<usize>| {
        let mut digits = head.get(at)?.bytes().rev();
        digits.try_fold(0_u32, |number, digit| number.checked_mul(64)?.checked_add(crypt64(digit)?))
    };
    let n = 1_u64.checked_shl(number(0..1)?)?;
    let salt = head.get(11..)?.as_bytes().to_vec();
    let mut bytes = Vec::new();
    for digits in output.as_bytes().chunks(4) {
        let mut group = digits.iter().rev();
        let group = group.try_fold(0_u32, |group, digit| Some(group << 6 | crypt64(*digit)?))?;
        bytes.extend_from_slice(&group.to_le_bytes()[..digits.len() * 6 / 8]);
    }
    scrypt_of(n, number(1..6)?, number(6..11)?, salt, bytes)
}

fn crypt64(digit: u8) -> Option<u32> {
    const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    DIGITS.iter().position(|known| *known == digit).and_then(|value| value.try_into().ok())
}

/// `32768:8:1` and `salt$hex`, as Werkzeug writes them.
fn scrypt_werkzeug(costs: &str, rest: &str) -> Option<Stored> {
    let [n, r, p]: [&str; 3] = costs.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (salt, output) = rest.split_once('$')?;
    let costs = (n.parse().ok()?, r.parse().ok()?, p.parse().ok()?);
    scrypt_of(costs.0, costs.1, costs.2, salt.as_bytes().to_vec(), unhex(output)?)
}

/// `16384$salt$8$1$hash`, as Django writes it.
fn scrypt_django(text: &str) -> Option<Stored> {
    let [n, salt, r, p, output] = parts(text)?;
    let costs = (n.parse().ok()?, r.parse().ok()?, p.parse().ok()?);
    scrypt_of(costs.0, costs.1, costs.2, salt.as_bytes().to_vec(), base64(output)?)
}

fn scrypt_of(n: u64, r: u32, p: u32, salt: Vec<u8>, output: Vec<u8>) -> Option<Stored> {
    let log_n = u8::try_from(n.trailing_zeros()).ok().filter(|_| n.is_power_of_two() && n > 1)?;
    let params = scrypt::Params::new(log_n, r, p).ok()?;
    let block = u64::from(r).checked_mul(128)?;
    let memory = block.checked_mul(n)?;
    // What is mixed is drawn before and digested after, which costs as much as some rounds.
    let work = block.checked_mul(p.into())?.checked_mul(n.checked_add(SCRYPT_ENDS)?)?;
    usable(&salt, &output).then_some(Stored::Scrypt { params, work, memory, salt, output })
}

/// `pbkdf2-sha256$29000$salt$hash`, or with `i=29000,l=32` in the place of the number.
fn pbkdf2_phc(text: &str) -> Option<Stored> {
    let [name, costs, salt, output] = parts(text)?;
    let digest = if name == "pbkdf2" { "sha1" } else { name.strip_prefix("pbkdf2-")? };
    let iterations = match costs.strip_prefix("i=") {
        Some(costs) => costs.split(',').next()?,
        None => costs,
    };
    pbkdf2_of(digest, iterations, base64(salt)?, base64(output)?)
}

/// `sha256$N$salt$base64` behind `pbkdf2_`, `sha256:N` and `salt$hex` behind `pbkdf2:`.
fn pbkdf2_other(of: &str, rest: &str) -> Option<Stored> {
    if let Some((digest, iterations)) = of.split_once(':') {
        let (salt, output) = rest.split_once('$')?;
        return pbkdf2_of(digest, iterations, salt.as_bytes().to_vec(), unhex(output)?);
    }
    let [iterations, salt, output] = parts(rest)?;
    pbkdf2_of(of, iterations, salt.as_bytes().to_vec(), base64(output)?)
}

fn pbkdf2_of(digest: &str, iterations: &str, salt: Vec<u8>, output: Vec<u8>) -> Option<Stored> {
    let (digest, length) = match digest {
        "sha1" => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
        "sha256" => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        "sha512" => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        _ => return None,
    };
    let iterations: NonZeroU32 = iterations.parse().ok()?;
    // Each part of the output takes all of them.
    let parts = u64::try_from(output.len().div_ceil(length)).ok()?;
    let work = u64::from(iterations.get()) * parts;
    usable(&salt, &output).then_some(Stored::Pbkdf2 { digest, iterations, work, salt, output })
}

fn usable(salt: &[u8], output: &[u8]) -> bool {
    (1..=LONGEST_PART).contains(&salt.len())
        && (SHORTEST_OUTPUT..=LONGEST_PART).contains(&output.len())
}

fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

/// With or without padding; passlib writes `.` for `+`.
fn base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    LENIENT.decode(text.replace('.', "+")).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.len().is_multiple_of(2) && text.is_ascii();
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok());
    if digits { pairs.collect() } else { None }
}
