//! What a step says of one record.

/// What a step says of one record. The numbers are those of the plugin contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// It went through; a destination applied it.
    Ok = 0,
    /// A destination found it already there as it should be.
    Unchanged = 1,
    /// It was filtered out.
    Dropped = 2,
    /// It will never be accepted as it is.
    Rejected = 3,
    /// Certainly not applied; another attempt may help.
    Retryable = 4,
    /// Certainly not applied; credentials were refused.
    Unauthorized = 5,
    /// Sent, answer unknown.
    Unknown = 6,
    /// Nothing was done for it.
    Untouched = 7,
}

impl Outcome {
    /// The outcome for a code of the plugin contract.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Unchanged,
            2 => Self::Dropped,
            3 => Self::Rejected,
            4 => Self::Retryable,
            5 => Self::Unauthorized,
            6 => Self::Unknown,
            7 => Self::Untouched,
            _ => return None,
        })
    }

    /// Whether the record is now where the step was to bring it.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Ok | Self::Unchanged)
    }

    /// Whether exactly one failure must come with it.
    #[must_use]
    pub fn needs_failure(self) -> bool {
        matches!(self, Self::Rejected | Self::Retryable | Self::Unauthorized | Self::Unknown)
    }

    /// The word for people and for stored attempts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchanged => "unchanged",
            Self::Dropped => "dropped",
            Self::Rejected => "rejected",
            Self::Retryable => "retryable",
            Self::Unauthorized => "unauthorized",
            Self::Unknown => "unknown",
            Self::Untouched => "untouched",
        }
    }
}
