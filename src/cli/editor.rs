//! Text written in the user's editor.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::interrupt;
use crate::id::Uid;
use crate::protocol::Fault;

/// The editor when none is set, as POSIX has it.
const DEFAULT: &str = "vi";

/// What was written, and the file it lies in until it is of no more use.
#[derive(Debug)]
pub struct Draft {
    /// The text.
    pub text: String,
    path: PathBuf,
}

impl Draft {
    /// Has the user write, beginning with `text`.
    ///
    /// # Errors
    /// When there is no editor, or it fails.
    pub fn write(text: &str) -> Result<Draft, Fault> {
        Draft::write_as(text, "md")
    }

    /// The same for a text in some format, by the end of its file's name.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_as(text: &str, format: &str) -> Result<Draft, Fault> {
        let set = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| DEFAULT.into());
        Draft::write_with(&editor, text, format)
    }

    fn write_with(editor: &str, text: &str, format: &str) -> Result<Draft, Fault> {
        let failed = |what: &str, error: io::Error| Fault::internal(format!("{what}: {error}"));
        let path = env::temp_dir().join(format!("autodev-{}.{format}", Uid::new()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|e| failed(&format!("{} cannot be written", path.display()), e))?;
        let draft = Draft { text: String::new(), path };
        // The variables hold a command line, often with options.
        let script = format!("{editor} \"$1\"");
        let editing = Command::new("/bin/sh").args(["-c", &script, "sh"]).arg(&draft.path).spawn();
        let mut editing = editing.map_err(|e| failed("the editor cannot be started", e))?;
        // The keys are the editor's: what ^C means there is for it to say.
        let ours = interrupt::ignore();
        let status = editing.wait().map_err(|e| failed("the editor cannot be waited for", e))?;
        drop(ours);
        if !status.success() {
            let fault = Fault::usage(format!("the editor '{editor}' ended with {status}: nothing was done"));
            // What cannot be read as text was not there before either.
            let written = fs::read(&draft.path).unwrap_or_default();
            if written == text.as_bytes() || written.trim_ascii().is_empty() {
                draft.remove();
                return Err(fault);
            }
            return Err(draft.keep(fault));
        }
        let text = fs::read_to_string(&draft.path)
            .map_err(|e| failed(&format!("{} cannot be read", draft.path.display()), e))?;
        Ok(Draft { text, ..draft })
    }

    /// The text has arrived where it belongs.
    pub fn remove(&self) {
        drop(fs::remove_file(&self.path));
    }

    /// Says where the text is kept, with a fault that came after it was written.
    pub fn keep(&self, fault: Fault) -> Fault {
        let kept = format!("your text is kept in {}", self.path.display());
        let hint = fault.hint.as_ref().map_or_else(|| kept.clone(), |hint| format!("{hint}; {kept}"));
        fault.hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the text is kept that an editor leaves which then fails.
    fn kept(editor: &str) -> Option<PathBuf> {
        let fault = Draft::write_with(editor, "before\n", "md").unwrap_err();
        assert!(fault.message.contains("nothing was done"), "{fault}");
        fault.hint.map(|hint| PathBuf::from(hint.strip_prefix("your text is kept in ").unwrap()))
    }

    #[test]
    fn what_was_written_outlives_an_editor_that_fails() {
        let path = kept("sh -c 'echo written >> \"$1\"; exit 1' sh").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nwritten\n");
        fs::remove_file(path).unwrap();
        assert_eq!(kept("false"), None, "nothing was written");
        assert_eq!(kept("sh -c ': > \"$1\"; exit 1' sh"), None);
    }
}
