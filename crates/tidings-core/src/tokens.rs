//! What reporters outside show, so that nobody else can report their jobs.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    error::{Error, ErrorKind},
    names::JobId,
    text::hex,
};

/// What tokens are made with. It never shows itself.
pub(crate) struct Tokens {
    /// Keyed, so that the key is hashed once and not for each token.
    mac: Hmac<Sha256>,
}

impl Tokens {
    /// Makes tokens of a secret, or of a random one.
    pub(crate) fn new(secret: Option<[u8; 32]>) -> Result<Self, Error> {
        let secret = secret.map_or_else(random, Ok)?;
        // Keys that are shorter than a block are filled up with zeros (RFC 2104, 2).
        let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
        key.iter_mut().zip(secret).for_each(|(byte, secret)| *byte = secret);
        Ok(Self { mac: Hmac::new(&key) })
    }

    /// The token of a job's reporter: made anew from the job's id whenever it is asked for, so that just its digest is
    /// kept.
    pub(crate) fn of(&self, job: JobId) -> String {
        let bytes = self.mac.clone().chain_update(job.text()).finalize().into_bytes();
        let (words, _) = bytes.as_chunks::<4>();
        let digits = words.iter().flat_map(|word| hex(u32::from_be_bytes(*word))).collect();
        // Hex digits are text, so this never is the empty one.
        String::from_utf8(digits).unwrap_or_default()
    }
}

fn random() -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    let filled = getrandom::fill(&mut secret).map(|()| secret);
    filled.map_err(|e| Error::new(ErrorKind::Unavailable, "the system gives no randomness").with_source(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_hmac_of_the_id_as_it_is_shown() {
        let tokens = Tokens::new(Some(*b"0123456789abcdef0123456789abcdef")).expect("no randomness is needed");
        let job = "0193b5a0-0000-7000-8000-000000000001".parse().expect("an id");
        // Logs outlive this program, and their jobs' reporters the tokens that it gave: python3 -c 'import hmac;
        // print(hmac.new(b"0123456789abcdef"*2, b"0193b5a0-0000-7000-8000-000000000001", "sha256").hexdigest())'
        assert_eq!(tokens.of(job), "19bcb4536d4b253a8950f3779035f54c11a723df9139fb2005475791d1c92422");
    }
}
