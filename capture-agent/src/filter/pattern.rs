//! Regular expressions, and what it costs to look through a text by them.
//!
//! A text is looked through by an automaton that is built as it is needed, in a time for each byte
//! that does not grow with the pattern. Where the text has it forget over and over what it was built
//! for, it is given up, and the time for each byte grows with the pattern: [`Purse`] pays for that
//! before.

use std::sync::Mutex;

use regex::{Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Input, MatchError, MatchErrorKind};

use super::functions::{BYTES_A_NODE, Purse};

/// Bytes of memory that a compiled regular expression may take, and as much again to run it.
const REGEX_BYTES: usize = 1 << 17;
/// What it may remember of what it has met: less makes it slow.
const DFA_BYTES: usize = 1 << 20;
/// How often it may forget that while it looks through one text.
const FORGETS: usize = 3;
/// Steps from one state of the pattern to the next in that time.
const STEPS_A_NODE: usize = 1 << 6;
/// What it costs, in nodes, to find out that the automaton is of no use for a text.
const GIVEN_UP: usize = 250_000;

/// A regular expression.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// `None` where there is not even room for the shortest of texts.
    automaton: Option<Automaton>,
    states: usize,
}

#[derive(Debug)]
struct Automaton {
    dfa: DFA,
    cache: Mutex<Cache>,
}

/// Why it is of no use for a text.
enum Unfit {
    /// It has forgotten too much.
    GaveUp,
    /// There are other reasons, which are known at once.
    CannotTell,
}

impl Pattern {
    /// Compiles it.
    pub(super) fn new(text: &str) -> Result<Self, regex::Error> {
        let mut builder = RegexBuilder::new(text);
        let regex = builder.size_limit(REGEX_BYTES).dfa_size_limit(DFA_BYTES).build()?;
        let dfa = DFA::builder()
            .thompson(thompson::Config::new().which_captures(WhichCaptures::None))
            .configure(
                DFA::config()
                    .cache_capacity(DFA_BYTES)
                    .minimum_cache_clear_count(Some(FORGETS))
                    .unicode_word_boundary(true),
            )
            .build(text)
            .ok();
        let states = dfa.as_ref().map_or(REGEX_BYTES, |dfa| dfa.get_nfa().states().len());
        let automaton = dfa.map(Automaton::new);
        Ok(Self { regex, automaton, states })
    }

    pub(super) fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// Whether a part of the text is of this pattern; `None` where it would cost more than there is.
    pub(super) fn is_match(&self, text: &str, purse: &Purse) -> Option<bool> {
        purse.pay(1 + text.len() / BYTES_A_NODE)?;
        match self.automaton.as_ref().map_or(Err(Unfit::CannotTell), |it| it.is_match(text)) {
            Ok(is_match) => Some(is_match),
            Err(unfit) => self.is_match_slowly(text, &unfit, purse),
        }
    }

    #[cold]
    fn is_match_slowly(&self, text: &str, unfit: &Unfit, purse: &Purse) -> Option<bool> {
        if matches!(unfit, Unfit::GaveUp) {
            // That was work: it must not be done for nothing again and again.
            purse.pay(GIVEN_UP).or_else(|| purse.empty())?;
        }
        purse.pay(text.len().saturating_mul(self.states) / STEPS_A_NODE)?;
        Some(self.regex.is_match(text))
    }
}

impl Clone for Pattern {
    fn clone(&self) -> Self {
        let automaton = self.automaton.as_ref().map(|it| Automaton::new(it.dfa.clone()));
        Self { regex: self.regex.clone(), automaton, states: self.states }
    }
}

impl Automaton {
    fn new(dfa: DFA) -> Self {
        let cache = Mutex::new(dfa.create_cache());
        Self { dfa, cache }
    }

    fn is_match(&self, text: &str) -> Result<bool, Unfit> {
        // A thread that finds another one at it makes do without.
        let mut cache = self.cache.try_lock().map_err(|_| Unfit::CannotTell)?;
        let input = Input::new(text).earliest(true);
        let gave_up = |error: &MatchError| matches!(error.kind(), MatchErrorKind::GaveUp { .. });
        let mut found = self.dfa.try_search_fwd(&mut cache, &input);
        if found.as_ref().is_err_and(gave_up) {
            // What other texts have filled it with shall not count for this one.
            cache.reset(&self.dfa);
            found = self.dfa.try_search_fwd(&mut cache, &input);
        }
        match found {
            Ok(found) => Ok(found.is_some()),
            Err(error) if gave_up(&error) => {
                cache.reset(&self.dfa);
                Err(Unfit::GaveUp)
            }
            Err(_) => Err(Unfit::CannotTell),
        }
    }
}
