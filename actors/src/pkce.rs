//! Proof Key for Code Exchange (RFC 7636), as applications speak it: challenges when a login is asked
//! for, verifiers when its code is exchanged. Whether the one answers the other is decided where the
//! code is spent (`janua_storage::pkce`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use janua_storage::pkce::{Challenge, Proof};
use janua_storage::version::{CHALLENGES, TooNew};

use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// The one method (RFC 7636 §4.2): `plain` protects against nobody who sees the request.
pub const METHOD: &str = "S256";

/// The challenge that a login is asked for with, if it is (RFC 7636 §4.3).
pub fn challenge(text: Option<&str>, method: Option<&str>) -> Result<Option<Challenge>, Refusal> {
    read(text, method, ["code_challenge", "code_challenge_method"])
}

/// The same, where a body of JSON holds the two.
pub fn challenge_in_body(
    text: Option<&str>,
    method: Option<&str>,
) -> Result<Option<Challenge>, Refusal> {
    read(text, method, ["codeChallenge", "codeChallengeMethod"])
}

fn read(
    text: Option<&str>,
    method: Option<&str>,
    [text_field, method_field]: [&str; 2],
) -> Result<Option<Challenge>, Refusal> {
    let Some(text) = text else {
        return match method {
            Some(_) => Err(Refusal::field(text_field, "is required with its method")),
            None => Ok(None),
        };
    };
    if method != Some(METHOD) {
        return Err(Refusal::field(method_field, "must be S256"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    let challenge = bytes.map(Challenge).filter(|challenge| written(challenge) == text);
    let rule = "must be the SHA-256 of a verifier, base64url without padding";
    challenge.map(Some).ok_or_else(|| Refusal::field(text_field, rule))
}

impl TenantRef {
    /// Refuses a challenge while some node of the cluster could not read what is bound to one. Asked
    /// before anything begins: at the end a provider's code would be spent, or a session have begun, for
    /// nothing.
    pub fn check_challenge(&self, challenge: Option<&Challenge>) -> Result<(), Refusal> {
        if challenge.is_none() {
            return Ok(());
        }
        self.challenges().map_err(|problem| Refusal::unavailable(problem.to_string()))
    }

    /// Whether codes can be bound to a challenge.
    pub fn binds_codes(&self) -> bool {
        self.challenges().is_ok()
    }

    /// Whether every node of the cluster can read what is bound to a challenge.
    fn challenges(&self) -> Result<(), TooNew> {
        self.0.node.shards.shards().speech().require(CHALLENGES)
    }
}

/// A challenge as it stands in addresses.
pub fn written(challenge: &Challenge) -> String {
    URL_SAFE_NO_PAD.encode(challenge.0)
}

/// What is shown beside a code. What cannot be a verifier (RFC 7636 §4.1) is shown in vain, like a
/// wrong one.
pub fn proof(verifier: Option<&str>) -> Proof {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match verifier {
        None => Proof::None,
        Some(text) if (43..=128).contains(&text.len()) && text.bytes().all(may) => {
            Proof::Verifier(Challenge::of(text))
        }
        Some(_) => Proof::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_standard_holds() {
        let asked = challenge(Some(CHALLENGE), Some("S256")).unwrap().unwrap();
        assert_eq!(written(&asked), CHALLENGE);
        assert!(proof(Some(VERIFIER)).answers(Some(&asked)));
        assert!(!proof(Some(CHALLENGE)).answers(Some(&asked)));
    }

    #[test]
    fn only_s256_is_a_method_and_a_challenge_is_spelled_in_one_way() {
        assert_eq!(challenge(None, None).unwrap(), None);
        for method in [None, Some("plain"), Some("s256"), Some("")] {
            assert!(challenge(Some(CHALLENGE), method).is_err(), "{method:?}");
        }
        assert!(challenge(None, Some("S256")).is_err());
        let (padded, short) = (format!("{CHALLENGE}="), &CHALLENGE[..42]);
        // Of the last letter only four bits count: another that has the same is another spelling.
        let other = format!("{short}N");
        for wrong in
            ["", VERIFIER, &padded, short, &other, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"]
        {
            let is_another = challenge(Some(wrong), Some("S256")).ok().flatten();
            assert!(is_another.is_none() || wrong == VERIFIER, "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_a_verifier_is_none() {
        let long = "a".repeat(129);
        for wrong in ["", "short", &VERIFIER[..42], &long, &format!("{}+", &VERIFIER[..42])] {
            assert_eq!(proof(Some(wrong)), Proof::Malformed, "{wrong}");
        }
        assert_eq!(proof(None), Proof::None);
    }
}
