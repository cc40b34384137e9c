//! What the pages say. A language is one value of [`Texts`], so none can miss a text.

mod en;
mod es;

use super::language::Language;

impl Language {
    /// What the pages say in it.
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::Spanish => &es::TEXTS,
        }
    }
}

/// Declares the texts of the pages; every one is a plain text, escaped where it is shown.
macro_rules! texts {
    ($($name:ident)*) => {
        /// The texts of one language. `{brand}`, `{email}`, `{provider}`, `{number}` stand for
        /// what they name.
        pub struct Texts {
            $(pub $name: &'static str,)*
        }

        #[cfg(test)]
        impl Texts {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

texts! {
    language error_prefix back continue_ cancel
    email password new_password first_name last_name optional show_password
    sign_in sign_in_title sign_in_lead sign_in_continue no_account forgot_password other_ways
    passkey_sign_in passkey_failed passkey_cancelled provider_sign_in
    sign_up sign_up_title have_account password_hint closed_title closed_lead
    magic_link_ask magic_link_title magic_link_lead magic_link_send magic_link_confirm_title
    magic_link_confirm_lead magic_link_confirm
    mail_sent_title mail_sent_lead mail_sent_hint
    forgot_title forgot_lead forgot_send
    reset_title reset_lead reset_submit reset_done_title reset_done_lead
    verify_title verify_lead verify_submit verify_disown verified_title verified_lead
    contested_title contested_lead contested_own disowned_title disowned_lead
    check_mail_title check_mail_lead
    mfa_title mfa_totp_lead mfa_totp mfa_backup_lead mfa_backup mfa_passkey_lead mfa_passkey
    mfa_use_totp mfa_use_backup mfa_use_passkey mfa_submit mfa_expired_title mfa_expired_lead
    mfa_not_mine not_mine_title not_mine_lead not_mine_send
    passkeys_title passkeys_lead passkey_add passkey_added passkey_unsupported
    passkey_list passkey_none
    link_title link_lead link_required_title link_required_lead link_done provider_denied
    provider_failed provider_taken departing_title departing_lead
    account_title account_lead account_application account_sessions this_device unknown_device
    last_active end_session end_others session_ended sign_out signed_out_title signed_out_lead
    leaving_title leaving_lead
    token_missing_title token_missing_lead
    problem_title stale_form not_found too_many unavailable broken bad_request
    fault_summary email_invalid email_missing email_taken password_missing password_short
    password_long password_guessable password_breached name_invalid credentials_wrong locked suspended
    code_missing code_wrong
    token_invalid token_used not_allowed start_again
}

/// A text with what it names put in.
pub fn fill(text: &str, name: &str, value: &str) -> String {
    text.replace(&format!("{{{name}}}"), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in braces.
    fn names(text: &str) -> Vec<&str> {
        let mut names: Vec<_> =
            text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_language_says_the_same() {
        let [english, spanish] = Language::ALL.map(|language| language.texts().all());
        for ((name, english), (_, spanish)) in english.into_iter().zip(spanish) {
            assert!(!english.is_empty() && !spanish.is_empty(), "{name}");
            assert_eq!(names(english), names(spanish), "{name}");
        }
    }
}
