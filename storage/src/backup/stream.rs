//! An archive as bytes: a head in clear, then chunks of AES-256-GCM under a key of this archive
//! alone. The nonce of a chunk is its number and whether it is the last (the STREAM construction of
//! Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so that a chunk that was moved, left out, doubled
//! or taken from elsewhere does not open, and an end that was cut off shows.

use std::io::{self, Read};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use super::ArchiveError;
use super::recovery_key::{RecoveryKey, RecoveryPublicKey};
use crate::fault::Fault;
use crate::seal::Key;

const MAGIC: &[u8; 8] = b"JANUABAK";
const VERSION: u32 = 1;
/// Magic, version, the recovery key's public half, the public half of the archive's own key.
const HEAD: usize = 8 + 4 + 32 + 32;
/// Bytes of content in a chunk; the last one may have fewer.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// In the length of a chunk: it is the last.
const LAST: u32 = 1 << 31;

/// Encrypts an archive.
pub struct Sealer {
    chunks: Chunks,
    waiting: Vec<u8>,
}

impl Sealer {
    /// Begins an archive with `random` as the secret of its own key. The head comes out at once.
    pub fn new(to: &RecoveryPublicKey, random: &[u8; 32]) -> Result<(Self, Vec<u8>), Fault> {
        let (key, ephemeral) = to.seal(random)?;
        let head = [&MAGIC[..], &VERSION.to_be_bytes(), &to.0, &ephemeral].concat();
        Ok((Self { chunks: Chunks::new(&key, &head)?, waiting: Vec::with_capacity(CHUNK) }, head))
    }

    /// Takes further content, and puts the chunks that are full into `out`.
    pub fn push(&mut self, mut content: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        while !content.is_empty() {
            // A full chunk waits for more, since it could be the last.
            if self.waiting.len() == CHUNK {
                self.chunks.seal(&mut self.waiting, false, out)?;
            }
            let (now, later) = content.split_at(content.len().min(CHUNK - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            content = later;
        }
        Ok(())
    }

    /// Puts the last chunk into `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.chunks.seal(&mut self.waiting, true, out)
    }
}

/// Decrypts an archive as it is read. What it gives is as it was written; that nothing was cut off
/// is known once the end has been reached.
pub struct Opener<R> {
    source: R,
    chunks: Chunks,
    at: u64,
    content: Vec<u8>,
    used: usize,
    ended: bool,
}

impl<R: Read> Opener<R> {
    /// Reads the head; refuses it unless it is for this key.
    pub fn new(mut source: R, key: &RecoveryKey) -> Result<Self, ArchiveError> {
        let mut head = [0; HEAD];
        let read = fill(&mut source, &mut head)?;
        let magic = &head[..read.min(MAGIC.len())];
        if magic.is_empty() || magic != &MAGIC[..magic.len()] {
            return Err(ArchiveError::Foreign);
        }
        if read < HEAD {
            return Err(ArchiveError::CutShort { at: read as u64 });
        }
        let version = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        if version > VERSION {
            return Err(ArchiveError::Newer { found: version, known: VERSION });
        }
        let wanted = RecoveryPublicKey(half(&head[12..]));
        let given = key.public()?;
        if wanted != given {
            let (wanted, given) = (wanted.fingerprint(), given.fingerprint());
            return Err(ArchiveError::WrongKey { wanted, given });
        }
        let chunks = Chunks::new(&key.open(&half(&head[44..]))?, &head)?;
        Ok(Self { source, chunks, at: HEAD as u64, content: Vec::new(), used: 0, ended: false })
    }

    /// Fills `buffer`.
    pub fn take(&mut self, mut buffer: &mut [u8]) -> Result<(), ArchiveError> {
        while !buffer.is_empty() {
            if self.used == self.content.len() {
                if self.ended {
                    return Err(ArchiveError::Damaged("its content ends too early".into()));
                }
                self.next_chunk()?;
                continue;
            }
            let length = buffer.len().min(self.content.len() - self.used);
            let (now, later) = buffer.split_at_mut(length);
            now.copy_from_slice(&self.content[self.used..self.used + length]);
            self.used += length;
            buffer = later;
        }
        Ok(())
    }

    /// Makes sure that nothing follows.
    pub fn end(mut self) -> Result<(), ArchiveError> {
        if !self.ended && self.used == self.content.len() {
            self.next_chunk()?;
        }
        let nothing_left = self.used == self.content.len();
        let mut more = [0];
        match self.ended && nothing_left && fill(&mut self.source, &mut more)? == 0 {
            true => Ok(()),
            false => Err(ArchiveError::Damaged("something follows its end".into())),
        }
    }

    fn next_chunk(&mut self) -> Result<(), ArchiveError> {
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length);
        let (last, length) = (length & LAST != 0, (length & !LAST) as usize);
        if !(TAG..=CHUNK + TAG).contains(&length) {
            return Err(ArchiveError::Damaged(format!("no part of it begins at {}", self.at)));
        }
        let mut content = std::mem::take(&mut self.content);
        content.resize(length, 0);
        self.read(&mut content)?;
        let opened = self.chunks.open(&mut content, last);
        opened.map_err(|()| {
            ArchiveError::Damaged(format!("the part that ends at byte {} does not open", self.at))
        })?;
        (self.content, self.used, self.ended) = (content, 0, last);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        let read = fill(&mut self.source, buffer)?;
        self.at += read as u64;
        match read == buffer.len() {
            true => Ok(()),
            false => Err(ArchiveError::CutShort { at: self.at }),
        }
    }
}

/// The chunks of one archive, in order.
struct Chunks {
    key: LessSafeKey,
    /// SHA-256 of the head: every chunk is bound to it.
    head: [u8; 32],
    next: u64,
}

impl Chunks {
    fn new(key: &Key, head: &[u8]) -> Result<Self, Fault> {
        let unusable = |_| Fault::Damaged("a key of the wrong length".into());
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(unusable)?;
        Ok(Self { key: LessSafeKey::new(key), head: Sha256::digest(head).into(), next: 0 })
    }

    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(last);
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, content: &mut Vec<u8>, last: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        let nonce = self.nonce(last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(self.head), content)
            .map_err(|_| Fault::Damaged("a part that cannot be sealed".into()))?;
        let length = content.len() as u32 | if last { LAST } else { 0 };
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(content);
        content.clear();
        Ok(())
    }

    fn open(&mut self, content: &mut Vec<u8>, last: bool) -> Result<(), ()> {
        let nonce = self.nonce(last);
        let opened = self.key.open_in_place(nonce, Aad::from(self.head), content);
        let length = opened.map_err(|_| ())?.len();
        content.truncate(length);
        Ok(())
    }
}

fn half(bytes: &[u8]) -> [u8; 32] {
    std::array::from_fn(|at| bytes[at])
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RecoveryKey {
        RecoveryKey::new([3; 32])
    }

    fn content() -> Vec<u8> {
        (0..3 * CHUNK as u32 + 100).map(|number| number as u8).collect()
    }

    fn sealed(content: &[u8], random: u8) -> Vec<u8> {
        let public = key().public().expect("a key");
        let (mut sealer, mut bytes) = Sealer::new(&public, &[random; 32]).expect("a sealer");
        for piece in content.chunks(1000) {
            sealer.push(piece, &mut bytes).expect("sealing");
        }
        sealer.finish(&mut bytes).expect("sealing");
        bytes
    }

    fn opened(bytes: &[u8], length: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut opener = Opener::new(bytes, &key())?;
        let mut content = vec![0; length];
        opener.take(&mut content)?;
        opener.end()?;
        Ok(content)
    }

    #[test]
    fn what_was_sealed_is_opened() {
        for length in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK + 100] {
            let content = &content()[..length];
            assert_eq!(opened(&sealed(content, 1), length).expect("opening"), content);
        }
    }

    #[test]
    fn a_cut_shows_wherever_it_is() {
        let (content, bytes) = (content(), sealed(&content(), 1));
        let ends = [0, 7, 20, HEAD, HEAD + 2, HEAD + 500, HEAD + 4 + CHUNK + TAG, bytes.len() - 1];
        for end in ends {
            assert!(opened(&bytes[..end], content.len()).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn every_flipped_bit_shows() {
        let (content, bytes) = (content(), sealed(&content(), 1));
        for at in (0..bytes.len()).step_by(997).chain(0..HEAD + 4) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(opened(&bytes, content.len()).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn parts_that_change_places_or_archives_show() {
        let (content, bytes) = (content(), sealed(&content(), 1));
        let part = 4 + CHUNK + TAG;
        let places = |order: [usize; 2], from: &[u8]| {
            let [first, second] = order.map(|index| &from[HEAD + index * part..][..part]);
            [&bytes[..HEAD], first, second, &bytes[HEAD + 2 * part..]].concat()
        };
        assert!(opened(&places([0, 1], &bytes), content.len()).is_ok());
        assert!(opened(&places([1, 0], &bytes), content.len()).is_err());
        assert!(opened(&places([0, 0], &bytes), content.len()).is_err());
        assert!(opened(&places([0, 1], &sealed(&content, 2)), content.len()).is_err());
        let left_out = [&bytes[..HEAD + part], &bytes[HEAD + 2 * part..]].concat();
        assert!(opened(&left_out, content.len() - CHUNK).is_err());
        assert!(opened(&[&bytes[..], b"x"].concat(), content.len()).is_err());
    }

    #[test]
    fn another_key_is_told_by_its_fingerprint() {
        let bytes = sealed(b"content", 1);
        let refused = Opener::new(&bytes[..], &RecoveryKey::new([4; 32])).err();
        let Some(ArchiveError::WrongKey { wanted, given }) = refused else { panic!("it opens") };
        assert_eq!(wanted, key().public().expect("a key").fingerprint());
        assert_ne!(wanted, given);
    }
}
