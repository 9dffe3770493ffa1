//! The environment a task takes along from the shell it was submitted in: an allow-list.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::protocol::Fault;
use crate::task::spec::{MAX_ENVIRONMENT, REFERENCE, holds_password, looks_secret};

/// What programs need to find their files, to speak the user's language and to reach the
/// network, whatever the settings say. Nothing here describes the terminal: a task has a terminal of its own.
const ALLOWED: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "EDITOR",
    "VISUAL",
    "SSH_AUTH_SOCK",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "XDG_*",
];

/// Chooses from `all` what the built-in list and `allow` name; `*` at the end of a name
/// stands for anything. Of what looks like a secret only the reference `env:NAME` is
/// taken, under the same name: the value is read where the task is started. One whose
/// very name says secret is taken only when `allow` names it. What is not UTF-8 is left
/// out.
///
/// # Errors
/// `Usage` when all of it together is too large to be stored.
pub fn choose(
    allow: &[String],
    all: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut chosen = BTreeMap::new();
    for (name, value) in all {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
        let asked = allow.iter().any(|pattern| matches(pattern, &name));
        if !asked && !ALLOWED.iter().any(|pattern| matches(pattern, &name)) {
            continue;
        }
        match (looks_secret(&name), holds_password(&name, &value)) {
            (false, false) => drop(chosen.insert(name, value)),
            (true, _) if !asked => {}
            _ => drop(chosen.insert(name.clone(), format!("{REFERENCE}{name}"))),
        }
    }
    let size: usize = chosen.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_ENVIRONMENT {
        let largest = chosen.iter().max_by_key(|(_, value)| value.len()).map_or("", |(name, _)| name.as_str());
        return Err(Fault::usage(format!(
            "the environment to take along has {size} bytes, the limit is {MAX_ENVIRONMENT}; the largest variable is {largest}"
        ))
        .hint("unset it for this command, or take it out of environment.allow"));
    }
    Ok(chosen)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn chosen(allow: &[&str], all: &[(&str, &str)]) -> BTreeMap<String, String> {
        let allow: Vec<String> = allow.iter().map(|a| (*a).to_owned()).collect();
        choose(&allow, all.iter().map(|(n, v)| (OsString::from(n), OsString::from(v)))).unwrap()
    }

    #[test]
    fn only_what_is_allowed_is_taken() {
        let all = [("PATH", "/bin"), ("LC_ALL", "C"), ("TERM", "xterm"), ("COLUMNS", "80"), ("FOO", "1"), ("FOX", "2")];
        assert_eq!(chosen(&[], &all).into_keys().collect::<Vec<_>>(), ["LC_ALL", "PATH"]);
        assert_eq!(chosen(&["FO*"], &all).into_keys().collect::<Vec<_>>(), ["FOO", "FOX", "LC_ALL", "PATH"]);
        assert_eq!(chosen(&["TERM"], &all)["TERM"], "xterm");
    }

    #[test]
    fn values_of_secrets_are_never_taken() {
        for name in ["GITHUB_TOKEN", "my_secret", "DB_PASSWORD_FILE", "XDG_KEY", "AWS_CREDENTIALS", "LC_APIKEY"] {
            assert_eq!(chosen(&[], &[(name, "hunter2")]), BTreeMap::new(), "{name}");
            for allow in ["*", name] {
                let taken = chosen(&[allow], &[(name, "hunter2")]);
                assert_eq!(taken[name], format!("env:{name}"));
            }
        }
    }

    #[test]
    fn a_password_in_an_address_is_a_secret_and_the_address_is_needed() {
        let taken =
            chosen(&[], &[("HTTPS_PROXY", "http://me:hunter2@proxy:3128"), ("http_proxy", "http://proxy:3128")]);
        assert_eq!((&*taken["HTTPS_PROXY"], &*taken["http_proxy"]), ("env:HTTPS_PROXY", "http://proxy:3128"));
    }

    #[test]
    fn too_much_is_refused_and_names_the_largest() {
        let all = vec![("PATH".into(), "x".into()), ("LC_BIG".into(), "x".repeat(MAX_ENVIRONMENT).into())];
        assert!(choose(&[], all).unwrap_err().message.contains("LC_BIG"));
    }

    #[test]
    fn what_is_not_text_is_left_out() {
        let all = vec![(OsString::from("PATH"), OsString::from_vec(vec![0xff])), ("TZ".into(), "UTC".into())];
        assert_eq!(choose(&[], all).unwrap().into_keys().collect::<Vec<_>>(), ["TZ"]);
    }
}
