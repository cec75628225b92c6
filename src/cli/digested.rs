//! The digest of everything that a command reads.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// Reads through to the input, and adds what was read to a digest, if there is one.
pub(super) struct Digested<'a, R> {
    input: R,
    digest: Option<&'a mut Sha256>,
}

impl<'a, R> Digested<'a, R> {
    pub(super) const fn new(input: R, digest: Option<&'a mut Sha256>) -> Self {
        Self { input, digest }
    }
}

impl<R: Read> Read for Digested<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if let Some(digest) = &mut self.digest {
            digest.update(&buffer[..read]);
        }
        Ok(read)
    }
}
