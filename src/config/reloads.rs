//! What reloading came to so far: when the config in force was read, and what was refused last. For operators; decides nothing.

use jiff::Timestamp;

use super::Problem;

/// What a process's reloads came to so far.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// When the config in force was read: at the start, or by the last reload that was accepted.
    pub loaded_at: Timestamp,
    /// How many reloads were accepted since the start.
    pub accepted: u64,
    /// How many were refused; one that stands is one.
    pub refusals: u64,
    /// When a reload was last accepted; `None`: never since the start.
    pub accepted_at: Option<Timestamp>,
    /// The last refusal, also when it is over.
    pub refused: Option<Refused>,
}

/// A config that was refused while another one was, and stayed, in force.
#[derive(Clone, Debug)]
pub struct Refused {
    /// When it was refused first.
    pub at: Timestamp,
    /// Why.
    pub problems: Vec<Problem>,
    /// Whether it still stands: what is configured is not what is running.
    pub standing: bool,
}

impl Reloads {
    pub(super) fn new() -> Self {
        Self { loaded_at: Timestamp::now(), accepted: 0, refusals: 0, accepted_at: None, refused: None }
    }

    /// What is configured is in force.
    pub(super) fn settled(&mut self, swapped: bool) {
        if swapped {
            self.accepted += 1;
            self.loaded_at = Timestamp::now();
            self.accepted_at = Some(self.loaded_at);
        }
        if let Some(refused) = &mut self.refused {
            refused.standing = false;
        }
    }

    /// What is configured was refused; the same refusal again keeps its time.
    pub(super) fn refused(&mut self, problems: Vec<Problem>) {
        let again = |refused: &Refused| refused.standing && refused.problems == problems;
        if !self.refused.as_ref().is_some_and(again) {
            self.refusals += 1;
            self.refused = Some(Refused { at: Timestamp::now(), problems, standing: true });
        }
    }
}
