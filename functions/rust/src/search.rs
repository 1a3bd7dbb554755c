//! Searching a body that comes in chunks, in constant memory.

use memchr::memmem::Finder;

/// A string to search for, prepared once an invocation.
pub struct Needle(Finder<'static>);

impl Needle {
    /// Prepares a string that is not empty.
    pub fn new(text: &str) -> Self {
        Self(Finder::new(text).into_owned())
    }

    /// Begins a body.
    pub fn search(&self) -> Search<'_> {
        Search {
            finder: &self.0,
            found: false,
            tail: Vec::new(),
        }
    }
}

/// The search through one body.
pub struct Search<'a> {
    finder: &'a Finder<'static>,
    found: bool,
    /// The end of what was seen, where a match could begin: shorter than the
    /// needle.
    tail: Vec<u8>,
}

impl Search<'_> {
    /// Says whether the body so far holds the needle.
    pub fn found(&self) -> bool {
        self.found
    }

    /// Takes the next chunk.
    pub fn write(&mut self, chunk: &[u8]) {
        if self.found {
            return;
        }
        let keep = self.finder.needle().len() - 1;
        // Over the border: the tail, and as much of the chunk as a match that
        // begins in the tail can reach.
        if !self.tail.is_empty() {
            self.tail.extend_from_slice(&chunk[..keep.min(chunk.len())]);
            if self.finder.find(&self.tail).is_some() {
                self.found = true;
                return;
            }
        }
        if self.finder.find(chunk).is_some() {
            self.found = true;
            return;
        }
        if chunk.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(&chunk[chunk.len() - keep..]);
        } else {
            if self.tail.is_empty() {
                self.tail.extend_from_slice(chunk);
            }
            let extra = self.tail.len().saturating_sub(keep);
            self.tail.drain(..extra);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to cut these bodies into three chunks gives what the whole
    /// body does.
    #[test]
    fn every_border() {
        for (body, needle) in [
            ("xxMyMagicStringxx", "MyMagicString"), // inside
            ("MyMagicString", "MyMagicString"),     // the whole
            ("MyMagicStrin", "MyMagicString"),      // a byte short
            ("aaaaaaab", "aab"),                    // begins again and again
            ("abababac", "ababac"),                 // a start that is no match
            ("xay", "a"),                           // one byte: no tail to keep
            ("", "a"),                              // an empty body
            ("short", "longer than the body"),      // more than all of it
        ] {
            let prepared = Needle::new(needle);
            for i in 0..=body.len() {
                for k in i..=body.len() {
                    let mut search = prepared.search();
                    for chunk in [&body[..i], &body[i..k], &body[k..]] {
                        search.write(chunk.as_bytes());
                    }
                    assert_eq!(
                        search.found(),
                        body.contains(needle),
                        "{needle:?} in {body:?} cut at {i} and {k}"
                    );
                }
            }
        }
    }

    /// Chunks of one byte, the smallest a network can give.
    #[test]
    fn single_bytes() {
        for (body, want) in [("xxneedlexx", true), ("xxneedxlexx", false)] {
            let needle = Needle::new("needle");
            let mut search = needle.search();
            for byte in body.as_bytes() {
                search.write(std::slice::from_ref(byte));
                assert!(
                    search.found() || search.tail.len() < "needle".len(),
                    "memory grows"
                );
            }
            assert_eq!(search.found(), want, "{body}");
        }
    }
}
