//! A pattern's possibilities as the bits of a number, so that a letter takes a few operations however
//! long the pattern is. Each file of a context is asked about for each pattern.

use super::Token;

/// One bit for each token that may come next, and one for the end.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    /// For each letter of ASCII the tokens that it takes the pattern past.
    past: Box<[u64; 128]>,
    /// Tokens that stay after any letter.
    stays: u64,
    /// Tokens that stay after any letter but a slash.
    stays_in_name: u64,
    /// Tokens that may stand for nothing.
    may_be_empty: u64,
    /// Those after which the next one, too, may stand for nothing.
    folders: u64,
    end: u64,
}

impl Bits {
    /// Nothing if the pattern is too long for a number.
    pub(super) fn of(tokens: &[Token]) -> Option<Bits> {
        if tokens.len() >= u64::BITS as usize {
            return None;
        }
        let those = |is_it: &dyn Fn(&Token) -> bool| {
            let bits = tokens.iter().enumerate().map(|(at, token)| u64::from(is_it(token)) << at);
            bits.fold(0, |all, bit| all | bit)
        };
        let past = std::array::from_fn(|letter| {
            let letter = char::from(letter as u8);
            those(&|token| token.takes(letter))
        });
        Some(Bits {
            past: Box::new(past),
            stays: those(&|token| matches!(token, Token::All | Token::Inside)),
            stays_in_name: those(&|token| *token == Token::Many),
            may_be_empty: those(&Token::may_be_empty),
            folders: those(&|token| *token == Token::Folders),
            end: 1 << tokens.len(),
        })
    }

    pub(super) fn start(&self) -> u64 {
        self.pass_empty(1)
    }

    pub(super) fn has_ended(&self, states: u64) -> bool {
        states & self.end != 0
    }

    /// What is possible after one letter more; 0 if nothing is.
    pub(super) fn step(&self, tokens: &[Token], states: u64, letter: char) -> u64 {
        let past = match self.past.get(letter as usize) {
            Some(past) => states & past,
            None => {
                let is_past = |at: &usize| states >> at & 1 != 0 && tokens[*at].takes(letter);
                (0..tokens.len()).filter(is_past).fold(0, |all, at| all | 1 << at)
            }
        };
        let stays = if letter == '/' { self.stays } else { self.stays | self.stays_in_name };
        self.pass_empty(past << 1 | states & stays)
    }

    fn pass_empty(&self, mut states: u64) -> u64 {
        loop {
            let more = (states & self.may_be_empty) << 1 | (states & self.folders) << 2;
            if states | more == states {
                return states;
            }
            states |= more;
        }
    }
}
