//! Proof Key for Code Exchange (RFC 7636): a code that was asked for with a challenge is given only to
//! whoever knows its verifier, so that a code which is seen on its way is worth nothing. `S256` alone.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of a verifier (RFC 7636 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge(pub [u8; 32]);

/// What somebody shows beside a code (RFC 7636 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// No verifier.
    None,
    /// A verifier, as the challenge that it answers.
    Verifier(Challenge),
    /// Something that cannot be a verifier.
    Malformed,
}

impl Challenge {
    /// The challenge that a verifier answers.
    pub fn of(verifier: &str) -> Self {
        Self(Sha256::digest(verifier).into())
    }
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge(…)")
    }
}

impl Proof {
    /// Whether it answers what a code was asked for with.
    ///
    /// Invariant: a verifier for a code without a challenge answers nothing (RFC 9700 §2.1.1): whoever
    /// sends one has asked with a challenge, which somebody has taken away on the way.
    pub fn answers(&self, challenge: Option<&Challenge>) -> bool {
        match (challenge, self) {
            (None, Self::None) => true,
            (Some(challenge), Self::Verifier(shown)) => challenge.0.ct_eq(&shown.0).into(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_answered_by_its_verifier_alone_and_none_by_none() {
        let (right, wrong) = (Challenge::of("right"), Challenge::of("wrong"));
        assert!(Proof::Verifier(right).answers(Some(&right)));
        assert!(Proof::None.answers(None));
        for proof in [Proof::None, Proof::Verifier(wrong), Proof::Malformed] {
            assert!(!proof.answers(Some(&right)), "{proof:?}");
        }
        for proof in [Proof::Verifier(right), Proof::Malformed] {
            assert!(!proof.answers(None), "{proof:?}");
        }
    }
}
