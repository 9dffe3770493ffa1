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

/// They describe the terminal a command is given in, not the session's own: taken only when
/// they are set for the session.
const TERMINAL: [&str; 2] = ["TERM", "COLORTERM"];

/// Chooses from `all` what the built-in list and `allow` name; `*` at the end of a name
/// stands for anything. Of what looks like a secret only the reference `env:NAME` is
/// taken, under the same name: the value is read where the task is started. One whose
/// very name says secret is taken only when `allow` names it. What is not UTF-8 is left
/// out. `set` has what is given for this session alone, as `NAME=VALUE`, or `NAME` for the
/// value it has in `all`.
///
/// # Errors
/// `Usage` when all of it together is too large to be stored, and for one in `set` that is
/// no variable, not there, or a secret's value.
pub fn choose(
    allow: &[String],
    set: &[String],
    all: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut chosen = BTreeMap::new();
    let mut given: BTreeMap<String, Option<&str>> = BTreeMap::new();
    for one in set {
        let (name, value) = one.split_once('=').map_or((one.as_str(), None), |(name, value)| (name, Some(value)));
        if name.is_empty() || name.contains('\0') {
            return Err(Fault::usage(format!("--env '{one}' names no variable")).hint("give --env NAME=VALUE"));
        }
        given.insert(name.to_owned(), value);
    }
    for (name, value) in all {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
        let named = given.get(&name).is_some_and(Option::is_none);
        if named {
            given.remove(&name);
        }
        let asked = named || allow.iter().any(|pattern| matches(pattern, &name)) && !TERMINAL.contains(&name.as_str());
        if !asked && !ALLOWED.iter().any(|pattern| matches(pattern, &name)) {
            continue;
        }
        match (looks_secret(&name), holds_password(&name, &value)) {
            (false, false) => drop(chosen.insert(name, value)),
            (true, _) if !asked => {}
            _ => drop(chosen.insert(name.clone(), format!("{REFERENCE}{name}"))),
        }
    }
    for (name, value) in given {
        let Some(value) = value else {
            return Err(Fault::usage(format!("--env {name}: there is no such variable here")));
        };
        if (looks_secret(&name) || holds_password(&name, value)) && !value.starts_with(REFERENCE) {
            return Err(Fault::usage(format!("--env {name} would write a secret down"))
                .hint(format!("give the daemon's environment {name}, and here: --env {name}=env:{name}")));
        }
        chosen.insert(name, value.to_owned());
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
        choose(&allow, &[], all.iter().map(|(n, v)| (OsString::from(n), OsString::from(v)))).unwrap()
    }

    #[test]
    fn only_what_is_allowed_is_taken() {
        let all = [("PATH", "/bin"), ("LC_ALL", "C"), ("TERM", "xterm"), ("COLUMNS", "80"), ("FOO", "1"), ("FOX", "2")];
        assert_eq!(chosen(&[], &all).into_keys().collect::<Vec<_>>(), ["LC_ALL", "PATH"]);
        assert_eq!(chosen(&["FO*"], &all).into_keys().collect::<Vec<_>>(), ["FOO", "FOX", "LC_ALL", "PATH"]);
        assert!(!chosen(&["*"], &all).contains_key("TERM"), "the session's terminal is another");
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
        assert!(choose(&[], &[], all).unwrap_err().message.contains("LC_BIG"));
    }

    #[test]
    fn variables_are_set_for_one_session() {
        let set = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|one| (*one).to_owned()).collect();
            let all = [("TERM", "xterm"), ("FOO", "1"), ("MY_TOKEN", "hunter2")];
            choose(&[], &set, all.iter().map(|(n, v)| (OsString::from(n), OsString::from(v))))
        };
        let taken = set(&["TERM=vt100", "FOO", "MY_TOKEN", "EMPTY=", "OTHER=a=b"]).unwrap();
        let expected = [("EMPTY", ""), ("FOO", "1"), ("MY_TOKEN", "env:MY_TOKEN"), ("OTHER", "a=b"), ("TERM", "vt100")];
        assert_eq!(taken.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(set(&["TERM"]).unwrap()["TERM"], "xterm");
        for wrong in ["", "=x", "NOT_HERE", "API_KEY=hunter2", "URL=http://me:hunter2@host/"] {
            let fault = set(&[wrong]).unwrap_err();
            assert!(!fault.to_string().contains("hunter2") || wrong.is_empty(), "{fault}");
        }
        assert_eq!(set(&["API_KEY=env:API_KEY"]).unwrap()["API_KEY"], "env:API_KEY");
    }

    #[test]
    fn what_is_not_text_is_left_out() {
        let all = vec![(OsString::from("PATH"), OsString::from_vec(vec![0xff])), ("TZ".into(), "UTC".into())];
        assert_eq!(choose(&[], &[], all).unwrap().into_keys().collect::<Vec<_>>(), ["TZ"]);
    }
}
