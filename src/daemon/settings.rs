//! The configuration and the providers in force. A bad configuration never keeps the
//! daemon from looking after the agents that run: the last good one stays, and nothing
//! new is started until it is mended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::Daemon;
use super::attend::Launch;
use crate::config::{self, Config, MetricsAddress, ProviderLimits};
use crate::id::{SessionName, Uid};
use crate::logging::Form;
use crate::paths::Paths;
use crate::process;
use crate::protocol::launch::{self, LaunchSpec, Prompt, RecordingLimits};
use crate::protocol::reply::Reloaded;
use crate::protocol::request::Open;
use crate::protocol::{Fault, FaultCode};
use crate::provider::{GO_ON, LaunchError, LaunchRequest, Registry, Remarks};
use crate::queue::{Closed, Limits};
use crate::recording::input::MAX_INPUT;
use crate::store::{Claim, StoredSession};
use crate::systemd;
use crate::task::spec::DEFAULT_SIZE;
use crate::task::{Mode, Outcome, TaskSpec};

#[derive(Debug)]
struct Current {
    config: Config,
    /// As they were when the daemon was started: some take effect only then.
    at_start: Config,
    registry: Arc<Registry>,
    /// What is wrong with the file as it is now.
    problem: Option<String>,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Settings(RwLock<Current>, Notify);

impl Settings {
    /// Reads them; while they are wrong those are in force that were right last, and the
    /// problem is kept.
    pub fn load(paths: &Paths) -> Self {
        let (config, problem) = match config::load(paths) {
            Ok(loaded) => (loaded.config, None),
            Err(error) => (config::kept(paths).unwrap_or_default(), Some(error.to_string())),
        };
        let registry = Arc::new(Registry::load(paths));
        Settings(RwLock::new(Current { at_start: config.clone(), config, registry, problem }), Notify::new())
    }

    /// Keeps the file as it is, if it is right: the next daemon may find a wrong one.
    pub fn keep(&self, paths: &Paths) {
        if self.problem().is_none()
            && let Err(error) = config::keep(paths)
        {
            tracing::warn!(%error, "the settings are not kept for the case that they are wrong some day");
        }
    }

    /// Reads them again, and says what does not take effect with that.
    pub fn reload(&self, paths: &Paths) -> Result<Reloaded, Fault> {
        let loaded = config::load(paths);
        let registry = Arc::new(Registry::load(paths));
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        now.registry = registry;
        self.1.notify_waiters();
        match loaded {
            Ok(loaded) => {
                let restart_needed = loaded.config.restart_needed(&now.at_start);
                let overridden = loaded.variables();
                now.config = loaded.config;
                now.problem = None;
                drop(now);
                self.keep(paths);
                Ok(Reloaded { restart_needed, overridden })
            }
            Err(error) => {
                let text = error.to_string();
                now.problem = Some(text.clone());
                Err(Fault::new(FaultCode::Conflict, text).hint("nothing new is started until it is mended"))
            }
        }
    }

    pub fn log(&self) -> (String, Form) {
        let now = self.read();
        let form = if now.config.daemon.log_json { Form::Json } else { Form::Text };
        (now.config.daemon.log.clone(), form)
    }

    pub fn connections(&self) -> usize {
        self.read().config.daemon.connections as usize
    }

    /// Room on the disk that is kept free: nothing is started into less.
    pub fn disk_reserve(&self) -> u64 {
        self.read().config.daemon.disk_reserve
    }

    /// Programs inside sessions may submit tasks.
    pub fn agents_may_submit(&self) -> bool {
        self.read().config.agents.allow_submit
    }

    /// How often a backup is made by itself; `None` is never.
    pub fn backup_interval(&self) -> Option<Duration> {
        Some(self.read().config.backup.interval.0).filter(|interval| !interval.is_zero())
    }

    /// Room for the backups in the state directory.
    pub fn backup_bytes(&self) -> u64 {
        self.read().config.backup.max_bytes
    }

    /// What a session's control group may take; `None` when it is to have none.
    pub fn scope(&self) -> Option<systemd::Limits> {
        let scope = &self.read().config.scope;
        let limit = |value: u64| Some(value).filter(|value| *value > 0);
        scope.enabled.then(|| systemd::Limits {
            memory: limit(scope.memory_max),
            processes: limit(scope.processes.into()),
            cpu_percent: limit(scope.cpu_percent.into()),
        })
    }

    /// Where figures are served, if anywhere.
    pub fn metrics(&self) -> Option<MetricsAddress> {
        MetricsAddress::parse(&self.read().config.metrics.listen).ok().flatten()
    }

    /// Where the copy in Redis is to be.
    pub fn redis(&self) -> config::Redis {
        self.read().config.redis.clone()
    }

    /// Waits until the settings have been read again.
    pub fn changed(&self) -> Notified<'_> {
        self.1.notified()
    }

    pub fn problem(&self) -> Option<String> {
        self.read().problem.clone()
    }

    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.read().registry)
    }

    /// The configured limits by provider.
    pub fn provider_limits(&self) -> BTreeMap<String, ProviderLimits> {
        self.read().config.providers.clone()
    }

    /// The limits that follow from the settings alone.
    pub fn limits(&self) -> Limits {
        let now = self.read();
        let (provider, directory) = now.registry.limits(&now.config.providers);
        Limits {
            slots: now.config.queue.slots,
            provider,
            directory,
            closed: now.problem.is_some().then_some(Closed::Config),
            paused_providers: Vec::new(),
        }
    }

    /// That there is such a provider.
    pub fn check_provider(&self, name: &str) -> Result<(), Fault> {
        self.registry().find(name).map(drop)
    }

    /// That the task can be run on this machine, as far as that can be known now. Returns
    /// warnings for what may still change, such as a tool that is not installed yet.
    pub fn check_task(&self, spec: &TaskSpec) -> Result<Vec<String>, Fault> {
        if !spec.dir.is_absolute() {
            return Err(Fault::usage(format!("the directory '{}' is not an absolute path", spec.dir.display())));
        }
        if !spec.dir.is_dir() {
            return Err(Fault::usage(format!("'{}' is not a directory", spec.dir.display()))
                .hint("--dir names the directory the task works in"));
        }
        self.check_run(spec)
    }

    /// The same without a look at its directory: that its provider can do what it asks for.
    pub fn check_run(&self, spec: &TaskSpec) -> Result<Vec<String>, Fault> {
        let Remarks { not_now, left_out } = self.registry().check(spec, &own_environment)?;
        Ok(not_now.into_iter().chain(left_out).collect())
    }

    /// What a claimed attempt's keeper is to run; or the typed end of the attempt.
    pub fn launch_attempt(&self, daemon: &Daemon, claim: &Claim) -> Result<Launch, (Outcome, String)> {
        let (paths, socket) = (&daemon.paths, daemon.socket_path());
        let name = claim.attempt.session();
        // Who has submitted it may have put a link in its place since.
        if claim.is_child && claim.spec.dir.canonicalize().is_ok_and(|real| real != claim.spec.dir) {
            let why = format!("its directory {} has become a link to another", claim.spec.dir.display());
            return Err((Outcome::LaunchFailed, why));
        }
        let dir = paths.session_directory(&name, claim.session_uid);
        let request = LaunchRequest {
            task: Some(claim.attempt.task),
            attempt: Some(claim.attempt),
            conversation: claim.conversation.as_deref(),
            ..LaunchRequest::of(&claim.spec, &name, claim.session_uid, dir.path(), &socket)
        };
        let identity = Identity {
            name: &name,
            uid: claim.session_uid,
            number: claim.session_number,
            task: Some((claim.attempt.task, claim.task_uid)),
            tool: &claim.spec.provider,
            mode: claim.spec.mode,
            size: claim.spec.size,
        };
        self.launch(daemon, &request, &identity).map_err(end_of)
    }

    /// The same for a session without a task.
    pub fn launch_open(
        &self,
        daemon: &Daemon,
        open: &Open,
        session: &StoredSession,
    ) -> Result<Launch, (Outcome, String)> {
        let socket = daemon.socket_path();
        let dir = daemon.paths.session_directory(&session.name, session.uid);
        let environment: BTreeMap<String, String> = open.environment.iter().cloned().collect();
        let provider = open.provider.as_deref().unwrap_or("shell");
        let request = LaunchRequest {
            provider,
            description: "",
            command: &open.command,
            model: open.model.as_deref(),
            mode: Mode::Interactive,
            full_access: open.full_access,
            directory: Path::new(&open.dir),
            environment: &environment,
            session: &session.name,
            session_uid: session.uid,
            session_directory: dir.path(),
            task: None,
            attempt: None,
            socket: &socket,
            trial: false,
            conversation: None,
        };
        let identity = Identity {
            name: &session.name,
            uid: session.uid,
            number: session.number,
            task: None,
            tool: provider,
            mode: Mode::Interactive,
            size: open.size,
        };
        self.launch(daemon, &request, &identity).map_err(end_of)
    }

    fn launch(
        &self,
        daemon: &Daemon,
        request: &LaunchRequest<'_>,
        identity: &Identity<'_>,
    ) -> Result<Launch, LaunchError> {
        let paths = &daemon.paths;
        let (registry, recording, attach) = {
            let now = self.read();
            (Arc::clone(&now.registry), now.config.recording.clone(), now.config.attach.clone())
        };
        // Looks for the tool, which may take long: nothing is locked meanwhile.
        let mut made = registry.launch(request, &own_environment)?;
        for warning in &made.warnings {
            tracing::warn!(session = %identity.name, "{warning}");
        }
        for step in &mut made.steps {
            // With the session's name it tells orphans of one instance from another's.
            step.environment.insert("AUTODEV_STATE".into(), paths.state.to_string_lossy().into_owned());
            // 'autodev' in the session means the instance that the session belongs to.
            if let Some(home) = own_environment("AUTODEV_HOME") {
                step.environment.insert("AUTODEV_HOME".into(), home);
            }
        }
        let (columns, rows) = identity.size.unwrap_or(DEFAULT_SIZE);
        let has_prompt = request.command.is_empty() && !request.description.is_empty();
        let spec = LaunchSpec {
            v: launch::VERSION,
            session: identity.name.clone(),
            uid: identity.uid,
            task: identity.task.map(|(task, _)| task),
            task_uid: identity.task.map(|(_, uid)| uid),
            tool: identity.tool.to_owned(),
            mode: identity.mode,
            steps: made.steps,
            columns,
            rows,
            marker: process::marker(paths.instance_number(), identity.number),
            recording: RecordingLimits { max_bytes: recording.max_bytes, segment_bytes: recording.segment_bytes },
            history_bytes: attach.history_bytes,
            socket_directory: paths.runtime.clone(),
            umask: daemon.umask,
            core: Some(daemon.core),
            withholds: !made.secrets.0.is_empty(),
            prompt: has_prompt.then(|| Prompt::of(if made.resumed { GO_ON } else { request.description }, MAX_INPUT)),
            conversation: made.conversation,
            resumed: made.resumed,
        };
        Ok(Launch {
            spec,
            files: made.prompt_file.into_iter().collect(),
            secrets: made.secrets.0.into_iter().collect(),
            blotted: made.blotted.0,
            argv: made.argv_shown,
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Current> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How something ends that cannot be launched.
fn end_of(error: LaunchError) -> (Outcome, String) {
    let outcome = match error {
        LaunchError::NotInstalled { .. } => Outcome::NotInstalled,
        LaunchError::Key { .. } => Outcome::AuthNeeded,
        _ => Outcome::LaunchFailed,
    };
    (outcome, error.to_string())
}

/// Who the session is.
struct Identity<'a> {
    name: &'a SessionName,
    uid: Uid,
    number: u64,
    task: Option<(crate::id::TaskId, Uid)>,
    tool: &'a str,
    mode: Mode,
    size: Option<(u16, u16)>,
}

/// Where keys are found: read when they are needed, and dropped with the launch.
fn own_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
