//! Argument templates: lists of strings with placeholders such as `{prompt}`.

/// What may stand in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The task's description.
    Prompt,
    /// The absolute path of a file that holds it.
    PromptFile,
    /// The model asked for.
    Model,
    /// The directory the tool runs in.
    Directory,
    /// A UUID that is the conversation's own; another for each attempt.
    SessionUuid,
    /// The tool's name for the conversation that is gone on with.
    Conversation,
}

impl Placeholder {
    const ALL: [(&'static str, Placeholder); 6] = [
        ("prompt", Placeholder::Prompt),
        ("prompt_file", Placeholder::PromptFile),
        ("model", Placeholder::Model),
        ("directory", Placeholder::Directory),
        ("session_uuid", Placeholder::SessionUuid),
        ("conversation", Placeholder::Conversation),
    ];
}

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Place(Placeholder),
    /// Looks like a placeholder, and is none.
    Unknown(&'a str),
}

/// Cuts a template into pieces. Braces that do not look like a placeholder, as in JSON,
/// are text.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut text, mut from) = (0, 0);
    while let Some(open) = template[from..].find('{').map(|at| from + at) {
        let inner = &template[open + 1..];
        let length = inner.bytes().take_while(|b| b.is_ascii_lowercase() || *b == b'_').count();
        from = open + 1;
        if length == 0 || inner.as_bytes().get(length) != Some(&b'}') {
            continue;
        }
        if text < open {
            found.push(Piece::Text(&template[text..open]));
        }
        let name = &inner[..length];
        found.push(match Placeholder::ALL.iter().find(|(known, _)| *known == name) {
            Some((_, place)) => Piece::Place(*place),
            None => Piece::Unknown(name),
        });
        text = open + length + 2;
        from = text;
    }
    if text < template.len() {
        found.push(Piece::Text(&template[text..]));
    }
    found
}

/// Whether `template` has this placeholder.
pub fn holds(template: &str, place: Placeholder) -> bool {
    pieces(template).contains(&Piece::Place(place))
}

/// The first thing in braces that looks like a placeholder and is none.
pub fn unknown(template: &str) -> Option<&str> {
    pieces(template).into_iter().find_map(|piece| match piece {
        Piece::Unknown(name) => Some(name),
        _ => None,
    })
}

/// Puts values in. What is put in is not looked at again, so a prompt that talks about
/// `{model}` stays as it is.
///
/// A text from outside that begins the argument with `-` gets a space in front: no tool
/// then takes a prompt for an option, and none minds the space.
pub fn fill(template: &str, value: impl Fn(Placeholder) -> String) -> String {
    let mut filled = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Place(place) => {
                let value = value(place);
                if place == Placeholder::Prompt && filled.is_empty() && value.starts_with('-') {
                    filled.push(' ');
                }
                filled.push_str(&value);
            }
            Piece::Unknown(name) => {
                filled.push('{');
                filled.push_str(name);
                filled.push('}');
            }
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, prompt: &str) -> String {
        fill(template, |place| match place {
            Placeholder::Prompt => prompt.to_owned(),
            other => format!("<{other:?}>"),
        })
    }

    #[test]
    fn values_are_put_in_once() {
        assert_eq!(filled("--p={prompt}", "use {model}"), "--p=use {model}");
        assert_eq!(filled("{model}/{session_uuid}", ""), "<Model>/<SessionUuid>");
        assert_eq!(filled(r#"{"a":{"b":1}}"#, ""), r#"{"a":{"b":1}}"#);
        assert_eq!(filled("{", ""), "{");
        assert_eq!(filled("{{prompt}}", "x"), "{x}");
        assert_eq!(filled("{Prompt} {prompt", "x"), "{Prompt} {prompt");
    }

    #[test]
    fn a_prompt_is_never_an_option() {
        assert_eq!(filled("{prompt}", "--help"), " --help");
        assert_eq!(filled("--prompt={prompt}", "--help"), "--prompt=--help");
    }

    #[test]
    fn mistakes_are_found() {
        assert_eq!(unknown("--x={promt}"), Some("promt"));
        assert_eq!(unknown(r#"{"prompt":"{prompt}"}"#), None);
        assert!(holds("a{prompt}b", Placeholder::Prompt));
        assert!(!holds("{prompt_file}", Placeholder::Prompt));
    }
}
