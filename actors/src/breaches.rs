//! Passwords that are known from breaches. What is asked is the beginning of a password's SHA-1, and
//! what comes back are the ends of all known ones that begin so (k-anonymity, the range protocol of
//! Have I Been Pwned): neither the password nor its digest leaves the node.
//!
//! Decision: a service that does not answer refuses nobody a password. The log says so.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use crate::directory::Node;
use crate::hashing::Plaintext;
use crate::outbound::NoAnswer;

/// How long a request waits for what the service says.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many of its 40 digits are told.
const TOLD: usize = 5;

impl Node {
    /// Whether a password is known from a breach, as far as that can be found out.
    pub async fn is_breached(&self, password: &Plaintext) -> bool {
        let digits = digits(password);
        let (begins, ends) = digits.split_at(TOLD);
        match timeout(PATIENCE, self.known_ends(begins)).await {
            Ok(Ok(known)) => return is_among(&known, ends),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a password was not looked up among breached ones");
            }
            Err(_) => tracing::warn!("whether a password is a breached one was not told in time"),
        }
        false
    }

    async fn known_ends(&self, begins: &str) -> Result<String, NoAnswer> {
        let host = Url::parse(&self.breaches).ok();
        let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let request = oauth2::http::Request::get(format!("{}/{begins}", self.breaches))
            // So that the length of the answer does not tell what was asked.
            .header("add-padding", "true")
            .body(Vec::new())
            .map_err(|_| NoAnswer::Forbidden(host.clone(), "it is no URL"))?;
        let answer = self.outbound.send(request, Some(&host)).await?;
        match answer.status().as_u16() {
            200 => Ok(String::from_utf8_lossy(answer.body()).into_owned()),
            status => Err(NoAnswer::Status(host, status)),
        }
    }
}

/// The SHA-1 of a password in upper-case digits.
fn digits(password: &Plaintext) -> Zeroizing<String> {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.expose().as_bytes());
    let mut digits = Zeroizing::new(String::with_capacity(40));
    for byte in digest.as_ref() {
        for digit in [byte >> 4, byte & 15] {
            digits
                .extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
        }
    }
    digits
}

/// Whether one of the lines `END:COUNT` has this end. What pads an answer counts 0.
fn is_among(known: &str, ends: &str) -> bool {
    let lines = known.lines().filter_map(|line| line.trim().split_once(':'));
    let mut counted = lines.filter(|(_, count)| count.trim().parse::<u64>().is_ok_and(|n| n > 0));
    counted.any(|(end, _)| end.eq_ignore_ascii_case(ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_by_the_end_of_its_digest() {
        let digits = digits(&Plaintext::new("password"));
        assert_eq!(*digits, "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        let ends = &digits[TOLD..];
        let known =
            "0018A45C4D1DEF81644B54AB7F969B88D65:10\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:3\r\n";
        assert!(is_among(known, ends));
        assert!(!is_among(&known.replace(":3", ":0"), ends), "that is padding");
        assert!(!is_among("", ends) && !is_among("<html>", ends));
    }
}
