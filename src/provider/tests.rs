use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::protocol::launch::Stdin;
use crate::task::Mode;

const AGENTS: [&str; 5] = ["claude", "codex", "gemini", "cursor", "opencode"];
const UID: [u8; 16] = [7; 16];

/// A directory of programs that do nothing, and one for the user's tables.
struct Place {
    dir: tempfile::TempDir,
    paths: Paths,
    environment: BTreeMap<String, String>,
    session: SessionName,
}

impl Place {
    fn with(programs: &[&str]) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for program in programs {
            let path = bin.join(program);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let root = dir.path().to_owned();
        let paths = Paths { config: root.join("config"), state: root.join("state"), runtime: root.join("run") };
        fs::create_dir_all(paths.providers()).unwrap();
        let environment = BTreeMap::from([("PATH".to_owned(), bin.display().to_string())]);
        Place { dir, paths, environment, session: "42.1".parse().unwrap() }
    }

    fn bin(&self, program: &str) -> String {
        self.dir.path().join("bin").join(program).display().to_string()
    }

    fn user_table(&self, name: &str, text: &str) {
        fs::write(self.paths.providers().join(name), text).unwrap();
    }

    fn registry(&self) -> Registry {
        Registry::load(&self.paths)
    }

    /// Launches after `change` has made the request what the test is about.
    fn launch<'a>(&'a self, change: impl FnOnce(&mut LaunchRequest<'a>)) -> Result<Launch, LaunchError> {
        self.launch_with(&HashMap::new(), change)
    }

    fn launch_with<'a>(
        &'a self,
        keys: &HashMap<String, String>,
        change: impl FnOnce(&mut LaunchRequest<'a>),
    ) -> Result<Launch, LaunchError> {
        let mut request = LaunchRequest {
            conversation: None,
            trial: false,
            provider: "claude",
            description: "Fix it",
            command: &[],
            model: None,
            mode: Mode::Cli,
            full_access: false,
            directory: Path::new("/work/dir"),
            environment: &self.environment,
            session: &self.session,
            session_uid: Uid::from_bytes(UID),
            session_directory: Path::new("/state/42.1"),
            task: Some(TaskId(42)),
            attempt: Some(AttemptId { task: TaskId(42), number: 1 }),
            socket: Path::new("/run/d.sock"),
        };
        change(&mut request);
        self.registry().launch(&request, &|name| keys.get(name).cloned())
    }
}

fn uuid() -> String {
    Uid::from_bytes(UID).random_first().to_string()
}

#[test]
fn built_in_tables_are_right() {
    let place = Place::with(&[]);
    let registry = place.registry();
    assert_eq!(registry.problems(), Vec::<String>::new());
    assert_eq!(registry.names().collect::<Vec<_>>(), ["claude", "codex", "gemini", "cursor", "opencode", "shell"]);
    for name in AGENTS {
        let entry = registry.get(name).unwrap();
        let table = entry.table.as_ref().unwrap();
        assert!(entry.is_agent() && !entry.accepts_command(), "{name}");
        assert_eq!(table.modes(), [Mode::Cli, Mode::Interactive], "{name}");
        assert!(table.install.is_some() && !table.inherit.is_empty() && !table.version.is_empty(), "{name}");
        for mode in table.modes() {
            let mode = table.mode(mode).unwrap();
            assert!(mode.model.is_some() && mode.full_access.is_some(), "{name}");
        }
    }
    let (provider, directory) = registry.limits(&BTreeMap::new());
    assert!(provider.values().all(Option::is_none));
    assert_eq!((directory["claude"], directory["shell"]), (Some(1), None));
}

/// The exact command lines, as the tools were seen to take them.
#[test]
fn command_lines_of_the_built_in_agents() {
    let place = Place::with(&["claude", "codex", "gemini", "cursor-agent", "opencode"]);
    let cases: [(&str, Mode, bool, &str); 20] = [
        (
            "claude",
            Mode::Cli,
            false,
            "-p --output-format text --session-id UUID --model M --permission-mode acceptEdits",
        ),
        (
            "claude",
            Mode::Cli,
            true,
            "-p --output-format text --session-id UUID --model M --dangerously-skip-permissions",
        ),
        ("claude", Mode::Interactive, false, "--session-id UUID --model M --permission-mode acceptEdits PROMPT"),
        (
            "claude",
            Mode::Interactive,
            true,
            "--session-id UUID --model M --dangerously-skip-permissions --settings {\"skipDangerousModePermissionPrompt\":true} PROMPT",
        ),
        (
            "codex",
            Mode::Cli,
            false,
            "exec --skip-git-repo-check -c check_for_update_on_startup=false -m M -s workspace-write -",
        ),
        (
            "codex",
            Mode::Cli,
            true,
            "exec --skip-git-repo-check -c check_for_update_on_startup=false -m M --dangerously-bypass-approvals-and-sandbox -",
        ),
        (
            "codex",
            Mode::Interactive,
            false,
            "-c check_for_update_on_startup=false -m M -s workspace-write -a on-request PROMPT",
        ),
        (
            "codex",
            Mode::Interactive,
            true,
            "-c check_for_update_on_startup=false -m M --dangerously-bypass-approvals-and-sandbox PROMPT",
        ),
        (
            "gemini",
            Mode::Cli,
            false,
            "--output-format text --skip-trust --session-id UUID --model M --approval-mode auto_edit",
        ),
        (
            "gemini",
            Mode::Cli,
            true,
            "--output-format text --skip-trust --session-id UUID --model M --approval-mode yolo",
        ),
        (
            "gemini",
            Mode::Interactive,
            false,
            "--session-id UUID --model M --approval-mode auto_edit --prompt-interactive=PROMPT",
        ),
        (
            "gemini",
            Mode::Interactive,
            true,
            "--session-id UUID --model M --approval-mode yolo --skip-trust --prompt-interactive=PROMPT",
        ),
        ("cursor", Mode::Cli, false, "-p --output-format text --trust --model M PROMPT"),
        ("cursor", Mode::Cli, true, "-p --output-format text --trust --model M --force --sandbox disabled PROMPT"),
        ("cursor", Mode::Interactive, false, "--model M PROMPT"),
        ("cursor", Mode::Interactive, true, "--model M --force PROMPT"),
        ("opencode", Mode::Cli, false, "run --model M"),
        ("opencode", Mode::Cli, true, "run --model M --auto"),
        ("opencode", Mode::Interactive, false, "--model M --prompt=PROMPT"),
        ("opencode", Mode::Interactive, true, "--model M --auto --prompt=PROMPT"),
    ];
    for (provider, mode, full_access, expected) in cases {
        let launch = place
            .launch(|request| {
                request.provider = provider;
                request.mode = mode;
                request.full_access = full_access;
                request.model = Some("M");
                request.description = "PROMPT";
            })
            .unwrap();
        let [step] = launch.steps.as_slice() else { panic!("{launch:?}") };
        let program = if provider == "cursor" { "cursor-agent" } else { provider };
        assert_eq!(step.argv[0], place.bin(program));
        assert_eq!(step.argv[1..].join(" ").replace(&uuid(), "UUID"), expected, "{provider} {mode} {full_access}");
        assert_eq!(launch.argv_shown, step.argv);
        let by_file = launch.prompt_file == Some(("prompt".into(), b"PROMPT".to_vec()));
        let stdin = match (mode, provider) {
            (Mode::Cli, "cursor") => Stdin::Null,
            (Mode::Cli, _) => Stdin::File("prompt".into()),
            (Mode::Interactive, _) => Stdin::Terminal,
        };
        assert_eq!((by_file, &step.stdin), (matches!(stdin, Stdin::File(_)), &stdin), "{provider} {mode}");
    }
}

#[test]
fn a_session_without_a_task_has_no_prompt() {
    let place = Place::with(&["gemini", "claude"]);
    let open = |provider| {
        place
            .launch(|request| {
                request.provider = provider;
                request.mode = Mode::Interactive;
                request.description = "";
                (request.task, request.attempt) = (None, None);
            })
            .unwrap()
    };
    let gemini = open("gemini");
    assert_eq!(gemini.steps[0].argv[1..], ["--session-id", &uuid(), "--approval-mode", "auto_edit"]);
    assert!(gemini.prompt_file.is_none());
    assert!(!gemini.steps[0].environment.contains_key("AUTODEV_TASK_ID"));
    assert_eq!(open("claude").steps[0].argv.last().unwrap(), "acceptEdits");
}

#[test]
fn shell_runs_commands_as_they_are_and_lines_by_sh() {
    let command = ["printf".to_owned(), "%s".into(), "--x y".into()];
    let place = Place::with(&["sh", "fish"]);
    let launch = place
        .launch(|request| {
            request.provider = "shell";
            request.command = &command;
            request.full_access = true;
        })
        .unwrap();
    assert_eq!((launch.steps[0].argv.as_slice(), &launch.steps[0].stdin), (command.as_slice(), &Stdin::Terminal));
    assert_eq!(launch.argv_shown, command);

    let line = |text: &'static str, mode| {
        let launch = place.launch(|request| {
            (request.provider, request.description, request.mode) = ("shell", text, mode);
        });
        launch.unwrap().steps.remove(0).argv
    };
    assert_eq!(line("make && make test", Mode::Cli), [place.bin("sh"), "-c".into(), "make && make test".into()]);
    assert_eq!(line("-x", Mode::Cli)[2], " -x", "never an option of sh");
    let script = Box::leak("true\n".repeat(50_000).into_boxed_str());
    assert_eq!(line(script, Mode::Cli)[1..], ["/state/42.1/prompt"]);

    let mut with_shell = Place::with(&["sh", "fish"]);
    with_shell.environment.insert("SHELL".into(), with_shell.bin("fish"));
    let open = with_shell.launch(|request| {
        (request.provider, request.description, request.mode) = ("shell", "", Mode::Interactive);
    });
    assert_eq!(open.unwrap().steps[0].argv, [with_shell.bin("fish")]);
}

#[test]
fn long_prompts_are_read_from_a_file() {
    let long = "ä".repeat(MAX_ARGUMENT_PROMPT / 2 + 1);
    let place = Place::with(&["claude"]);
    let launch = place
        .launch(|request| {
            request.mode = Mode::Interactive;
            request.description = &long;
        })
        .unwrap();
    let told = launch.steps[0].argv.last().unwrap();
    assert!(told.contains("/state/42.1/prompt") && told.len() < 200, "{told}");
    assert_eq!(launch.prompt_file.unwrap().1, long.as_bytes());

    let fits = &long[..MAX_ARGUMENT_PROMPT];
    let launch = place
        .launch(|request| {
            request.mode = Mode::Interactive;
            request.description = fits;
        })
        .unwrap();
    assert_eq!((launch.steps[0].argv.last().unwrap().as_str(), launch.prompt_file), (fits, None));
    assert_eq!(launch.argv_shown.last().unwrap(), "…");
}

#[test]
fn what_cannot_be_started_says_why() {
    let command = ["x".to_owned()];
    let (nul, long) = (["a\0b".to_owned()], ["a".to_owned(), "x".repeat(128 * 1024)]);
    let place = Place::with(&["claude", "sh", "mine"]);
    place.user_table("mine.toml", "command = ['mine']\n[modes.cli]\nprompt = { stdin = [] }");
    place.user_table("broken.toml", "comand = ['x']");
    let error = |change: fn(&mut LaunchRequest<'_>)| place.launch(change).unwrap_err().to_string();
    assert_eq!(error(|r| r.provider = "claud"), "there is no provider 'claud': did you mean 'claude'?");
    let missing = error(|r| r.provider = "codex");
    assert_eq!(
        missing,
        "Codex is not installed: no 'codex' on the PATH of the task; install it with: npm install -g @openai/codex"
    );
    assert!(error(|r| r.provider = "broken").contains("broken.toml:1:1: unknown field"));
    let mine = |change: fn(&mut LaunchRequest<'_>)| {
        let launch = place.launch(|request| {
            request.provider = "mine";
            change(request);
        });
        launch.unwrap_err().to_string()
    };
    assert_eq!(mine(|r| r.mode = Mode::Interactive), "mine cannot be run in mode 'interactive'");
    assert_eq!(mine(|r| r.model = Some("m")), "mine takes no model in mode 'cli'");
    assert_eq!(mine(|r| r.full_access = true), "mine has no full access in mode 'cli'");
    assert_eq!(mine(|r| r.description = ""), "mine needs a prompt in mode 'cli'");
    let told = place.launch(|request| request.command = &command).unwrap_err().to_string();
    assert!(told.contains("takes a prompt, not a command"), "{told}");

    let told = place.launch(|r| (r.provider, r.command) = ("shell", &nul)).unwrap_err().to_string();
    assert_eq!(told, "the program's name holds a NUL character, which no program can be given");
    let told = place.launch(|r| (r.provider, r.command) = ("shell", &long)).unwrap_err().to_string();
    assert!(told.starts_with("argument 1 is 131072 bytes long"), "{told}");
}

#[test]
fn keys_and_references_never_get_into_the_specification() {
    let mut place = Place::with(&["claude"]);
    for (name, value) in [
        ("LANG", "C.UTF-8"),
        ("GH_TOKEN", "env:GH_TOKEN"),
        ("OTHER", "env:GH_TOKEN"),
        ("GONE", "env:NOT_THERE"),
        ("PLAIN", "env:not a name"),
        ("ANTHROPIC_BASE_URL", "http://mine"),
        ("TERM", "dumb"),
        ("AUTODEV_TASK_ID", "7"),
        ("DISABLE_AUTOUPDATER", "0"),
    ] {
        place.environment.insert(name.into(), value.into());
    }
    let keys: HashMap<String, String> = [
        ("GH_TOKEN", "ghp_secret"),
        ("ANTHROPIC_API_KEY", "sk-secret"),
        ("ANTHROPIC_BASE_URL", "http://daemons"),
        ("OPENAI_API_KEY", "not claude's"),
        ("HOME", "/root"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let launch = place.launch_with(&keys, |_| {}).unwrap();
    let environment = &launch.steps[0].environment;
    for (name, value) in [
        ("LANG", "C.UTF-8"),
        ("PLAIN", "env:not a name"),
        ("ANTHROPIC_BASE_URL", "http://mine"),
        ("TERM", "dumb"),
        ("COLORTERM", "truecolor"),
        ("PWD", "/work/dir"),
        ("DISABLE_AUTOUPDATER", "0"),
        ("AUTODEV_TASK_ID", "42"),
        ("AUTODEV_ATTEMPT", "42.1"),
        ("AUTODEV_SESSION", "42.1"),
        ("AUTODEV_SOCKET", "/run/d.sock"),
    ] {
        assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    }
    for name in ["GH_TOKEN", "OTHER", "GONE", "ANTHROPIC_API_KEY", "HOME"] {
        assert!(!environment.contains_key(name), "{name}");
    }
    let secrets: Vec<(&str, &str)> = launch.secrets.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(secrets, [("ANTHROPIC_API_KEY", "sk-secret"), ("GH_TOKEN", "ghp_secret"), ("OTHER", "ghp_secret")]);
    assert_eq!(launch.warnings, ["GONE is left out: the daemon's environment has no NOT_THERE"]);
    assert!(!format!("{launch:?}").contains("secret\""), "secrets are not printed");
    assert!(!serde_json::to_string(&launch.steps).unwrap().contains("sk-secret"));
}

#[test]
fn the_users_tables_override_add_and_break_alone() {
    let place = Place::with(&["claude", "codex", "mine"]);
    place.user_table("claude.toml", "slots = 2\nper_directory = 0\n[modes.cli]\nmild = ['--permission-mode', 'plan']");
    place.user_table("mine.toml", "title = 'My tool'\ncommand = ['mine']\n[modes.cli]\nprompt = { stdin = [] }");
    place.user_table("codex.toml", "command = [");
    place.user_table("Bad Name.toml", "command = ['x']");
    place.user_table("notes.txt", "no table");
    fs::create_dir(place.paths.providers().join("folder.toml")).unwrap();
    place.user_table("huge.toml", &"#".repeat(MAX_TABLE as usize + 1));
    let registry = place.registry();

    let claude = place.launch(|_| {}).unwrap();
    assert_eq!(claude.steps[0].argv.last().unwrap(), "plan");
    assert!(registry.get("mine").unwrap().problem().is_none());
    assert_eq!(registry.get("mine").unwrap().title(), "My tool");
    assert!(registry.get("notes").is_none());
    for (name, word) in [
        ("codex", "codex.toml:1:"),
        ("Bad Name", "lower-case"),
        ("folder", "not a regular file"),
        ("huge", "larger than"),
    ] {
        let problem = registry.get(name).unwrap().problem().unwrap();
        assert!(problem.contains(word), "{problem}");
    }
    assert_eq!(registry.problems().len(), 4);

    // A broken table starts nothing: the built-in one may be what it was to forbid.
    assert!(matches!(place.launch(|r| r.provider = "codex"), Err(LaunchError::BadTable { .. })));

    let limits = ProviderLimits { slots: Some(0), per_directory: Some(3) };
    let (provider, directory) = registry.limits(&BTreeMap::new());
    assert_eq!((provider["claude"], directory["claude"]), (Some(2), None));
    let (provider, directory) = registry.limits(&BTreeMap::from([("claude".to_owned(), limits)]));
    assert_eq!((provider["claude"], directory["claude"]), (None, Some(3)));
}

#[test]
fn views_tell_what_is_here() {
    let place = Place::with(&["codex"]);
    // Written by another process: one that another test starts meanwhile would hold our
    // descriptor, and a file that is open for writing cannot be run.
    let script = "#!/bin/sh\nread x; echo \"codex-cli 9.8.7 $x\"; echo >> \"$0.asked\"";
    let mut write = std::process::Command::new("/bin/sh");
    write.args(["-c", "printf %s \"$1\" > \"$2\"", "sh", script, &place.bin("codex")]);
    assert!(write.status().unwrap().success());
    place.user_table("broken.toml", "x = 1");
    let registry = place.registry();
    assert_eq!(registry.default_agent(&place.environment), Some("codex"));
    assert_eq!(registry.default_agent(&BTreeMap::from([("PATH".to_owned(), "/nowhere".to_owned())])), None);
    for _ in 0..2 {
        let views = registry.views(&place.environment, &BTreeMap::new());
        let view = |name: &str| views.iter().find(|view| view.name == name).unwrap();
        assert_eq!(view("codex").version.as_deref(), Some("9.8.7"));
        assert_eq!(view("codex").path, Some(place.bin("codex")));
        assert!(!view("claude").installed && view("claude").install.is_some());
        assert!(view("broken").problem.is_some() && view("broken").modes.is_empty());
    }
    let asked = fs::read_to_string(place.bin("codex.asked")).unwrap();
    assert_eq!(asked.lines().count(), 1, "the answer is remembered");
}

#[test]
fn a_version_is_read_where_asking_takes_long() {
    let place = Place::with(&[]);
    let package = place.dir.path().join("lib/gemini");
    fs::create_dir_all(package.join("bundle")).unwrap();
    fs::write(package.join("package.json"), "{\"version\":\"0.61.0\"}").unwrap();
    fs::write(package.join("bundle/gemini.js"), "#!/bin/sh\nexit 1").unwrap();
    fs::set_permissions(package.join("bundle/gemini.js"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../lib/gemini/bundle/gemini.js", place.bin("gemini")).unwrap();
    let views = place.registry().views(&place.environment, &BTreeMap::new());
    let gemini = views.iter().find(|view| view.name == "gemini").unwrap();
    assert_eq!(gemini.version.as_deref(), Some("0.61.0"));
}

/// The exact command lines after an interruption, as the tools were seen to take them.
#[test]
fn an_interrupted_conversation_is_gone_on_with() {
    let place = Place::with(&["claude", "codex", "gemini", "opencode"]);
    let home = place.dir.path().join("home");
    let keys = HashMap::from([("HOME".to_owned(), home.display().to_string())]);
    let cases = [
        (
            "claude",
            Mode::Cli,
            ".claude/projects/-work-dir/TALK.jsonl",
            "-p --output-format text --resume TALK --permission-mode acceptEdits",
        ),
        (
            "claude",
            Mode::Interactive,
            ".claude/projects/-work-dir/TALK.jsonl",
            "--resume TALK --permission-mode acceptEdits PROMPT",
        ),
        (
            "codex",
            Mode::Cli,
            ".codex/sessions/2026/11/23/rollout-2026-11-23T21-44-31-TALK.jsonl",
            "exec --skip-git-repo-check -c check_for_update_on_startup=false -s workspace-write resume TALK -",
        ),
        (
            "gemini",
            Mode::Cli,
            ".gemini/tmp/dir/chats/session-2026-11-23T21-47-33333333.jsonl",
            "--output-format text --skip-trust --resume TALK --approval-mode auto_edit",
        ),
    ];
    for (provider, mode, file, expected) in cases {
        let launch = || {
            let change = |request: &mut LaunchRequest<'_>| {
                (request.provider, request.mode, request.conversation) = (provider, mode, Some("TALK"));
            };
            place.launch_with(&keys, change).unwrap()
        };
        // What the tool no longer has cannot be gone on with.
        let fresh = launch();
        assert!(!fresh.resumed && !fresh.steps[0].argv.iter().any(|a| a.contains("TALK")), "{provider}: {fresh:?}");
        assert_eq!(fresh.conversation, (provider != "codex").then(uuid), "{provider}");

        let file = home.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, r#"{"sessionId":"TALK"} {"type":"gemini"}"#).unwrap();
        let again = launch();
        let line = again.steps[0].argv[1..].join(" ").replace(conversation::GO_ON, "PROMPT");
        assert_eq!(line, expected, "{provider} {mode}");
        assert_eq!((again.resumed, again.conversation.as_deref()), (true, Some("TALK")), "{provider}");
        let by_file = again.prompt_file.map(|(_, content)| content);
        assert_eq!(by_file, (mode == Mode::Cli).then(|| conversation::GO_ON.as_bytes().to_vec()), "{provider}");
        fs::remove_file(&file).unwrap();
    }
    let change =
        |request: &mut LaunchRequest<'_>| (request.provider, request.conversation) = ("opencode", Some("TALK"));
    assert!(!place.launch_with(&keys, change).unwrap().resumed, "it has no way to be told");
}
