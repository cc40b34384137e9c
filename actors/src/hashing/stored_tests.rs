//! Hashes that other programs have written, of one password: libc's crypt, libargon2, Python's
//! hashlib in the forms of Django, passlib and Werkzeug.

use janua_storage::capability::passwords::Password;
use janua_storage::moment::Moment;

use super::*;

const RIGHT: &str = "Seven-quiet-rivers-82!";

const FOREIGN: [&str; 19] = [
    "$2a$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC",
    "$2b$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC",
    "$2y$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC",
    // Bits that do not count, in salt and output, as some programs left them.
    "$2b$04$abcdefghijklmnopqrstuvIGHIID3xjCsL2tON37VNPB.blmVc1KC",
    "$2b$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KD",
    "bcrypt$$2b$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC",
    "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuty1HFZRYtqNbYWummsGw2lRHZbFYYs6",
    "$argon2i$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$eoW5M77MaoZhTOpBRSprFBfYtZ3S1RrW",
    "$argon2d$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$Mcvu5PQ1VzvGpt/smQGSWIHw9h2itVuM",
    "$argon2i$v=16$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$Pr9D83rhqSzDvjCeZ5SXLZeiKd8PdQ8YSSdPccRoKtc",
    "argon2$argon2id$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$eh/TqAuet6/T0Qnw0fJSfnKH5ovXx4eE",
    "$7$86..../....SodiumChloride$dyehs5.9r0PUVFazydbEUGgxbulG1O8if3pZNpwUVx8",
    "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$4qqx/nyuw5+MHnVKPkVSo+NRUD+iwfzV+3NMsXxQQOo",
    "scrypt:1024:8:1$NaCl-of-django$41d66c83a82e8b3a38df3ea556e8b995642494a32cc0e60ec0703c5fa721a2658e55cb37985db12f811e2e9b74f916b13882f62589d411854d3295f042e09ed5",
    "scrypt$1024$NaCl-of-django$8$1$QdZsg6guizo43z6lVui5lWQklKMswOYOwHA8X6chomWOVcs3mF2xL4EeLpt0+RaxOIL2JYnUEYVNMpXwQuCe1Q==",
    "pbkdf2_sha256$1000$NaCl-of-django$XBI+axQV1OoIFCl3QkhgwPSC7X76Md82pB9oM7Ctkew=",
    "pbkdf2:sha512:1000$NaCl-of-django$f557ecb67ee55cf288fbc748b3a13facd1c6de5bc14e8c6b5d2915c54e51aacc7ff6ec0b258cc4267fe2108c1381d0f611767903bc21e5cbcec933fa22687ff4",
    "$pbkdf2-sha256$1000$AAECAwQFBgcICQoLDA0ODw$J/dlNWLQfnUhhcgqgmPhR.InqDYq6UwLOaUn48GxydM",
    "$pbkdf2-sha512$i=1000,l=64$AAECAwQFBgcICQoLDA0ODw$q52RJKShfRa+DnRGnFx+Dg4vM/E3eqQ9OmqFTm7No6LnqWNaIWdjhdmZQY6fUQoQ1T7semyTbDJiAAJEq4TqkQ",
];

/// SHA-1 is too short for a place among the others only by its name.
const SHA1: &str = "$pbkdf2$1000$AAECAwQFBgcICQoLDA0ODw$hxLSdAFBPn.J8jBEXS0rWYTvLaY";

const OURS: Cost = Cost { memory_kib: 32, iterations: 1, parallelism: 1 };

fn stored(text: &str) -> Password {
    Password { phc: text.into(), generation: 1, changed: Moment(0) }
}

fn shown(password: &str, text: &str) -> Verified {
    let mut memory = Memory::default();
    let password = Plaintext::new(password);
    OURS.verify(&password, Some(&stored(text)), &[4; 16], &mut memory).expect("a check")
}

#[test]
fn every_foreign_hash_knows_its_password_and_becomes_ours() {
    for text in FOREIGN.into_iter().chain([SHA1]) {
        assert_eq!(check(text), Ok(()), "{text}");
        let wrong = shown("Seven-quiet-rivers-83!", text);
        assert_eq!(wrong, Verified { matches: false, rehashed: None }, "{text}");
        let right = shown(RIGHT, text);
        assert!(right.matches, "{text}");
        let ours = right.rehashed.expect("it is brought to our form");
        assert!(ours.starts_with("$argon2id$v=19$m=32,t=1,p=1$"), "{ours}");
        assert_eq!(shown(RIGHT, &ours), Verified { matches: true, rehashed: None });
    }
}

#[test]
fn bcrypt_reads_no_further_than_it_ever_did() {
    let text = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
    assert!(shown(&"x".repeat(80), text).matches);
}

#[test]
fn what_would_cost_too_much_is_refused() {
    let hash = "AAECAwQFBgcICQoLDA0ODw";
    for text in [
        "$2b$15$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC".to_owned(),
        format!("$scrypt$ln=20,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=14,r=8,p=64${hash}${hash}"),
        format!("$scrypt$ln=1,r=1,p=1000000${hash}${hash}"),
        format!("$pbkdf2-sha256$4000000000${hash}${hash}"),
        format!("$pbkdf2$1000000${hash}${}", "A".repeat(168)),
        format!("$argon2id$v=19$m=1048576,t=1,p=1${hash}${hash}"),
        format!("$argon2id$v=19$m=65536,t=1000,p=1${hash}${hash}"),
    ] {
        assert_eq!(check(&text), Err(Unusable::TooDear), "{text}");
    }
}

#[test]
fn what_is_no_hash_is_refused() {
    let hash = "AAECAwQFBgcICQoLDA0ODw";
    for text in [
        "".to_owned(),
        RIGHT.into(),
        "5f4dcc3b5aa765d61d8327deb882cf99".into(),
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0".into(),
        "$2x$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC".into(),
        "$2b$99$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC".into(),
        "$2b$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1K".into(),
        "$2b$04$ébcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1K".into(),
        format!("$scrypt$ln=200,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=0,r=8,p=1${hash}${hash}"),
        format!("scrypt:1000:8:1$salt${hash}"),
        format!("$pbkdf2-sha256$0${hash}${hash}"),
        format!("$pbkdf2-md5$1000${hash}${hash}"),
        format!("$pbkdf2-sha256$1000${hash}$AAEC"),
        "pbkdf2:sha256:1000$salt$zz".into(),
        "pbkdf2_sha256$1000$salt$".into(),
        "$argon2id$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw".into(),
        "$argon2x$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$eh/TqAuet6/T0Qnw0fJSfnKH5ovXx4eE".into(),
        "$7$86".into(),
        "$7$zzzzzz/....SodiumChloride$dyehs5".into(),
    ] {
        assert_eq!(check(&text), Err(Unusable::Unknown), "{text}");
    }
}
