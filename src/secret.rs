//! Values that nobody may find afterwards: blotted out wherever bytes are kept.
//!
//! What a program prints comes in pieces, cut anywhere. So the end of a piece that may be
//! the beginning of a secret is held back until it is certain. Blotting keeps the number of
//! bytes: offsets, columns and times stay true.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;

/// Shorter values are words that stand for other things as well: blotting them would blot
/// half of what is printed.
const SHORTEST: usize = 8;
/// Of a longer one this much is looked for: as much is held back at most.
const LONGEST: usize = 1024;
/// Most forms of secrets that are looked for; each costs a look at every byte.
const MOST: usize = 256;
/// What stands in the place of each byte.
const BLOT: u8 = b'*';

/// Blots out secrets in a stream of bytes.
#[derive(Clone)]
pub struct Redactor {
    /// What is looked for.
    forms: Vec<Vec<u8>>,
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
    /// address, in JSON; each line of one that has several. `None` where nothing has to be
    /// looked for.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Redactor> {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        let mut add = |form: &[u8]| {
            let form = form.get(..LONGEST).unwrap_or(form);
            if form.len() >= SHORTEST && forms.len() < MOST && !forms.iter().any(|known| known == form) {
                forms.push(form.to_vec());
            }
        };
        for value in values {
            let whole = value.trim();
            if whole.len() >= SHORTEST {
                add(STANDARD_NO_PAD.encode(whole).as_bytes());
            }
            for line in value.lines().map(str::trim) {
                add(line.as_bytes());
                add(percent(line).as_bytes());
                let quoted = serde_json::Value::from(line).to_string();
                add(quoted.trim_matches('"').as_bytes());
            }
        }
        (!forms.is_empty()).then(|| Redactor { forms, held: Vec::new(), passed: Vec::new() })
    }

    /// Takes what was printed next; gives what is certain now.
    pub fn feed(&mut self, bytes: &[u8]) -> &[u8] {
        self.held.extend(bytes.iter().map(|byte| (*byte, false)));
        let raw: Vec<u8> = self.held.iter().map(|(byte, _)| *byte).collect();
        for form in &self.forms {
            mark(&raw, form, &mut self.held);
        }
        let keep = self.forms.iter().map(|form| begun(&raw, form)).max().unwrap_or(0);
        self.pass(raw.len() - keep)
    }

    /// Nothing more comes: gives what was held back.
    pub fn end(&mut self) -> &[u8] {
        self.pass(self.held.len())
    }

    /// Blots out secrets in something that is whole.
    pub fn blot(&self, bytes: &mut [u8]) {
        let mut marked: Vec<(u8, bool)> = bytes.iter().map(|byte| (*byte, false)).collect();
        for form in &self.forms {
            mark(bytes, form, &mut marked);
        }
        for (byte, (_, blotted)) in bytes.iter_mut().zip(marked) {
            if blotted {
                *byte = BLOT;
            }
        }
    }

    fn pass(&mut self, length: usize) -> &[u8] {
        self.passed.clear();
        self.passed.extend(self.held.drain(..length).map(|(byte, blotted)| if blotted { BLOT } else { byte }));
        &self.passed
    }
}

/// Marks every place where `form` stands, also where two overlap.
fn mark(raw: &[u8], form: &[u8], marked: &mut [(u8, bool)]) {
    let finder = memmem::Finder::new(form);
    let mut from = 0;
    while let Some(at) = raw.get(from..).and_then(|rest| finder.find(rest)) {
        let begin = from + at;
        marked[begin..begin + form.len()].iter_mut().for_each(|(_, blotted)| *blotted = true);
        from = begin + 1;
    }
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
    use proptest::prelude::*;

    fn all(redactor: &mut Redactor, pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(redactor.feed(piece));
        }
        out.extend_from_slice(redactor.end());
        out
    }

    #[test]
    fn a_secret_is_blotted_whatever_it_is_cut_into() {
        let mut redactor = Redactor::new(["sk-abcdef"]).unwrap();
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
        let redactor = Redactor::new(["p\"ss w/rd 1", "line one of it\nline two of it\n", "short"]).unwrap();
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
        assert!(Redactor::new(["", "short"]).is_none());
        assert!(!format!("{redactor:?}").contains("line"));
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        let mut redactor = Redactor::new(["abababab", "babababa"]).unwrap();
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
            let mut redactor = Redactor::new([secret.as_str()]).unwrap();
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
