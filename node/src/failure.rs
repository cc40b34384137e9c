//! Why the program ends without having done what was asked, and with which exit code.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::Problem;
use crate::output::{print, tell};

/// The program cannot go on.
#[derive(Debug)]
pub enum Failure {
    /// The configuration must be mended: exit code 2.
    Configuration(Vec<Problem>),
    /// Something outside refused: exit code 1. One line for the operator.
    Start(String),
    /// The command line cannot be obeyed: exit code 2. One line.
    Usage(String),
    /// Everything has been said already: exit code 2.
    Reported,
    /// What was checked is not good, and that has been said already: exit code 1.
    Denied,
}

impl Failure {
    /// Says it on standard error, one line each, and gives the exit code. A program that was asked for
    /// JSON gets it on standard output too, so that it never has to read what is meant for people.
    pub fn report(&self, as_json: bool) -> ExitCode {
        if as_json && let Some(error) = self.to_json() {
            // Where standard output is gone, the lines below are left.
            drop(print(&format!("{error}\n")));
        }
        match self {
            Self::Configuration(problems) => {
                for problem in problems {
                    tell(&format!("janua: {problem}"));
                }
                ExitCode::from(2)
            }
            Self::Start(line) => {
                tell(&format!("janua: {line}"));
                ExitCode::FAILURE
            }
            Self::Usage(line) => {
                tell(&format!("janua: {line}"));
                ExitCode::from(2)
            }
            Self::Reported => ExitCode::from(2),
            Self::Denied => ExitCode::FAILURE,
        }
    }

    fn to_json(&self) -> Option<Value> {
        let error = match self {
            Self::Configuration(problems) => {
                let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                json!({ "code": "configuration", "message": lines.join("; "), "problems": problems })
            }
            Self::Start(line) => json!({ "code": "failed", "message": line }),
            Self::Usage(line) => json!({ "code": "usage", "message": line }),
            Self::Reported | Self::Denied => return None,
        };
        Some(json!({ "error": error }))
    }
}
