//! What a terminal is like, as pairs of a name and a text, and how two differ.

use std::collections::BTreeMap;

/// What a terminal is like.
pub type State = BTreeMap<String, String>;

/// Lines that say in what `joined` differs from `whole`; empty when in nothing.
pub fn difference(whole: &State, joined: &State) -> String {
    let names = whole.keys().chain(joined.keys().filter(|name| !whole.contains_key(*name)));
    let mut out = String::new();
    for name in names {
        let (left, right) = (whole.get(name), joined.get(name));
        if left != right {
            let shown = |text: Option<&String>| text.map_or("nothing".to_owned(), |text| format!("{text:?}"));
            out.push_str(&format!("  {name}\n    whole:  {}\n    joined: {}\n", shown(left), shown(right)));
        }
    }
    out
}
