//! What keeps the storage from serving, for the operator.

/// The reasons why storage does not serve, one line each; none if it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// For `/health/ready`.
    pub reasons: Vec<String>,
}

impl Health {
    /// Whether everything serves.
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}
