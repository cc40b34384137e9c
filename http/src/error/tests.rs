//! Codes and statuses go together as they should.

use http::StatusCode;

use super::*;

#[test]
fn no_two_codes_share_a_name() {
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
}

/// RFC 9110 §15.5.2
#[test]
fn every_401_says_how_to_authenticate() {
    for code in Code::ALL {
        let response = Error::new(code, "no").into_response();
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        let is_401 = code.status() == StatusCode::UNAUTHORIZED;
        assert_eq!(challenge.is_some(), is_401, "{code:?}");
    }
    let asked = Error::authentication_required().into_response();
    assert_eq!(asked.headers()[WWW_AUTHENTICATE], "Bearer");
    let bad = Error::invalid_token().into_response();
    assert_eq!(bad.headers()[WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
}

#[test]
fn a_wait_is_rounded_up_and_never_nothing() {
    assert_eq!(whole_seconds(Duration::ZERO), 1);
    assert_eq!(whole_seconds(Duration::from_millis(1_001)), 2);
}
