//! Values that nobody may find afterwards: blotted out wherever bytes are kept.
//!
//! What a program prints comes in pieces, cut anywhere. So the end of a piece that may be
//! the beginning of a secret is held back until it is certain. Blotting keeps the number of
//! bytes: offsets, columns and times stay true.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values are words that stand for other things as well: blotting them would blot
/// half of what is printed.
pub const SHORTEST: usize = 8;
/// A longer one is looked for in pieces of this length: as much is held back at most.
const LONGEST: usize = 1024;
/// Most pieces that are looked for: memory for some keys of the largest size.
const MOST: usize = 8 * 1024;
/// Bytes that a line of base64 stands for, as `base64` (76 columns) and PEM files (64) cut it.
const LINES: [usize; 2] = [57, 48];
/// What stands in the place of each byte.
const BLOT: u8 = b'*';

/// Blots out secrets in a stream of bytes.
#[derive(Clone)]
pub struct Redactor {
    /// What is looked for.
    forms: Vec<Vec<u8>>,
    /// Finds all of them at once.
    finder: AhoCorasick,
    /// What is held back, as it was printed, and whether each byte is blotted already.
    held: Vec<(u8, bool)>,
    /// What was passed on last.
    passed: Vec<u8>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("forms", &self.forms.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// For these values, as they are and as they are often written: in base64, in an
    /// address, in JSON; each line of one that has several; of an address its password.
    /// `None` where nothing has to be looked for.
    ///
    /// # Errors
    /// When there is more to look for than can be.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Option<Redactor>, TooMany> {
        let mut forms = Forms::default();
        for value in values {
            forms.add_value(value.trim());
            for (login, password) in logins(value) {
                forms.add_value(login);
                forms.add_value(password);
            }
        }
        if forms.0.is_empty() {
            return Ok(None);
        }
        if forms.0.len() > MOST {
            return Err(TooMany);
        }
        let forms: Vec<Vec<u8>> = forms.0.into_iter().collect();
        let finder = AhoCorasick::new(&forms).map_err(|_| TooMany)?;
        Ok(Some(Redactor { forms, finder, held: Vec::new(), passed: Vec::new() }))
    }

    /// Takes what was printed next; gives what is certain now.
    pub fn feed(&mut self, bytes: &[u8]) -> &[u8] {
        self.held.extend(bytes.iter().map(|byte| (*byte, false)));
        let raw: Vec<u8> = self.held.iter().map(|(byte, _)| *byte).collect();
        mark(&self.finder, &raw, |range| self.held[range].iter_mut().for_each(|(_, blotted)| *blotted = true));
        let keep = self.forms.iter().map(|form| begun(&raw, form)).max().unwrap_or(0);
        self.pass(raw.len() - keep)
    }

    /// Nothing more comes: gives what was held back.
    pub fn end(&mut self) -> &[u8] {
        self.pass(self.held.len())
    }

    /// Blots out secrets in something that is whole.
    pub fn blot(&self, bytes: &mut [u8]) {
        let raw = bytes.to_vec();
        mark(&self.finder, &raw, |range| bytes[range].fill(BLOT));
    }

    fn pass(&mut self, length: usize) -> &[u8] {
        self.passed.clear();
        self.passed.extend(self.held.drain(..length).map(|(byte, blotted)| if blotted { BLOT } else { byte }));
        &self.passed
    }
}

/// There are more secrets, or longer ones, than can be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are more secrets, or longer ones, than can be kept out of the recording")]
pub struct TooMany;

/// Names every place where something stands, also where two overlap.
fn mark(finder: &AhoCorasick, raw: &[u8], mut place: impl FnMut(std::ops::Range<usize>)) {
    for found in finder.find_overlapping_iter(raw) {
        place(found.range());
    }
}

/// What is looked for.
#[derive(Default)]
struct Forms(BTreeSet<Vec<u8>>);

impl Forms {
    fn add_value(&mut self, value: &str) {
        if value.len() < SHORTEST {
            return;
        }
        let bytes = value.as_bytes();
        self.add_base64(bytes);
        for length in LINES {
            // Each line by itself, for the last may be too short to be known.
            bytes.chunks(length).for_each(|line| self.add(STANDARD_NO_PAD.encode(line).as_bytes()));
        }
        for line in value.lines().map(str::trim) {
            self.add(line.as_bytes());
            self.add(percent(line).as_bytes());
            let quoted = serde_json::Value::from(line).to_string();
            self.add(quoted.trim_matches('"').as_bytes());
        }
    }

    /// In base64, also behind something else, such as a user's name: then its first and last
    /// characters depend on what stands there.
    fn add_base64(&mut self, bytes: &[u8]) {
        for before in 0..3 {
            let mut padded = vec![0; before];
            padded.extend_from_slice(bytes);
            let own = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
            for coded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                self.add(&coded.as_bytes()[own.clone()]);
                if before == 0 {
                    self.add(coded.as_bytes());
                }
            }
        }
    }

    /// In pieces, of which the last one overlaps the one before.
    fn add(&mut self, form: &[u8]) {
        if form.len() < SHORTEST || self.0.len() > MOST {
            return;
        }
        for begin in (0..form.len()).step_by(LONGEST) {
            let end = (begin + LONGEST).min(form.len());
            self.0.insert(form[end.saturating_sub(LONGEST).min(begin)..end].to_vec());
        }
    }
}

/// User and password, and the password, of addresses such as `http://user:password@host`.
fn logins(value: &str) -> Vec<(&str, &str)> {
    let authorities = value.split("://").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    authorities
        .filter_map(|authority| {
            let (login, _) = authority.rsplit_once('@')?;
            Some((login, login.split_once(':')?.1))
        })
        .collect()
}

/// How many bytes at the end may be the beginning of `form`.
fn begun(raw: &[u8], form: &[u8]) -> usize {
    let most = raw.len().min(form.len() - 1);
    (1..=most).rev().find(|length| raw.ends_with(&form[..*length])).unwrap_or(0)
}

/// As in an address: everything but letters, digits and `-._~` by its number.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use memchr::memmem;
    use proptest::prelude::*;

    fn all(redactor: &mut Redactor, pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(redactor.feed(piece));
        }
        out.extend_from_slice(redactor.end());
        out
    }

    fn of(values: &[&str]) -> Option<Redactor> {
        Redactor::new(values.iter().copied()).unwrap()
    }

    /// Nothing of what a secret is made of is left in the text, in pieces of eight.
    fn leaves_nothing(redactor: &Redactor, secret: &str, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        redactor.blot(&mut bytes);
        assert!(bytes.len() == text.len());
        for piece in secret.as_bytes().windows(8) {
            assert!(memmem::find(&bytes, piece).is_none(), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn long_secrets_are_blotted_to_their_end() {
        // No piece of it comes twice.
        let long: String = (0..900).map(|number| format!("{number:05}")).collect();
        let redactor = of(&[&long]).unwrap();
        leaves_nothing(&redactor, &long, &format!("before {long} after"));
        let coded = STANDARD_NO_PAD.encode(&long);
        for width in [64, 76] {
            let lines: Vec<&str> =
                coded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            leaves_nothing(&redactor, &coded, &lines.join("\n"));
        }
        // A piece of it, as well, as long as it has a whole one in it.
        let mut stream = of(&[&long]).unwrap();
        let out = all(&mut stream, &[&long.as_bytes()[..2000], b"-"]);
        assert!(out.starts_with(&[BLOT; 1024]) && out.ends_with(b"-"));
        let many: Vec<String> = (0..MOST).map(|number| format!("a secret {number}")).collect();
        assert_eq!(Redactor::new(many.iter().map(String::as_str)).unwrap_err(), TooMany);
    }

    #[test]
    fn a_secret_behind_a_user_and_in_an_address_is_blotted() {
        let key = "the-key-of-somebody";
        let redactor = of(&[key]).unwrap();
        for user in ["", "x:", "me:", "someone:", "x-access-token:"] {
            let coded = STANDARD_NO_PAD.encode(format!("{user}{key}"));
            let mut text = coded.clone().into_bytes();
            redactor.blot(&mut text);
            // What is left are a few characters at the seams.
            let left = text.iter().filter(|byte| **byte != BLOT).count();
            assert!(left <= user.len() * 4 / 3 + 3, "{user}: {}", String::from_utf8_lossy(&text));
        }
        let redactor = of(&["http://somebody:pass:word@proxy:3128/"]).unwrap();
        for text in ["pass:word", "somebody:pass:word", &STANDARD_NO_PAD.encode("somebody:pass:word")] {
            leaves_nothing(&redactor, text, &format!("<{text}>"));
        }
    }

    #[test]
    fn a_secret_is_blotted_whatever_it_is_cut_into() {
        let mut redactor = of(&["sk-abcdef"]).unwrap();
        let text = b"key=sk-abcdef, sk-abc, and sk-sk-abcdef";
        let expected = b"key=*********, sk-abc, and sk-*********";
        for cut in 0..text.len() {
            for other in cut..text.len() {
                let pieces = [&text[..cut], &text[cut..other], &text[other..]];
                assert_eq!(all(&mut redactor, &pieces), expected, "{cut} {other}");
            }
        }
    }

    #[test]
    fn other_forms_and_each_line_are_blotted() {
        let redactor = of(&["p\"ss w/rd 1", "line one of it\nline two of it\n", "short"]).unwrap();
        for secret in [
            "p\"ss w/rd 1",
            "p%22ss%20w%2Frd%201",
            "p\\\"ss w/rd 1",
            "cCJzcyB3L3JkIDE",
            "line one of it",
            "line two of it",
        ] {
            let mut text = format!("<{secret}>").into_bytes();
            redactor.blot(&mut text);
            assert_eq!(text, format!("<{}>", "*".repeat(secret.len())).into_bytes(), "{secret}");
        }
        let mut text = b"short words stay".to_vec();
        redactor.blot(&mut text);
        assert_eq!(text, b"short words stay");
        assert!(of(&["", "short"]).is_none());
        assert!(!format!("{redactor:?}").contains("line"));
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        let mut redactor = of(&["abababab", "babababa"]).unwrap();
        assert_eq!(all(&mut redactor, &[b"xababab", b"abab", b"ax"]), b"x***********x");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Cut into pieces it is what it is in one piece; and nothing of the secret is left.
        #[test]
        fn pieces_are_like_the_whole(
            secret in "[ab]{8,12}",
            text in proptest::collection::vec(prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("-".to_owned()), "[ab]{8,12}"], 0..40),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let text = text.concat() + &secret + "-";
            let mut redactor = of(&[secret.as_str()]).unwrap();
            let mut whole = text.clone().into_bytes();
            redactor.blot(&mut whole);
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            places.sort_unstable();
            places.push(text.len());
            let mut pieces = Vec::new();
            let mut from = 0;
            for place in places {
                pieces.push(&text.as_bytes()[from..place]);
                from = place;
            }
            let got = all(&mut redactor, &pieces);
            prop_assert_eq!(&got, &whole);
            prop_assert_eq!(got.len(), text.len());
            prop_assert!(memmem::find(&got, secret.as_bytes()).is_none());
        }
    }
}
