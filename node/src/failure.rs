//! Why the program ends without having done what was asked, and with which exit code.

use std::process::ExitCode;

use crate::config::Problem;

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
    /// Says it on standard error, one line each, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Configuration(problems) => {
                for problem in problems {
                    eprintln!("janua: {problem}");
                }
                ExitCode::from(2)
            }
            Self::Start(line) => {
                eprintln!("janua: {line}");
                ExitCode::FAILURE
            }
            Self::Usage(line) => {
                eprintln!("janua: {line}");
                ExitCode::from(2)
            }
            Self::Reported => ExitCode::from(2),
            Self::Denied => ExitCode::FAILURE,
        }
    }
}
