//! One connection to Redis. Every call has a time limit, and a connection on which one has
//! failed is not used again: what became of the call is seen in the copy itself.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ScriptInvocation};
use tokio::time::timeout;

use super::target::Target;
use crate::store::StoreError;

/// To connect, TLS and password included.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// For an answer. Redis needs milliseconds; more only when it has stalled on its disk.
const CALL_LIMIT: Duration = Duration::from_secs(5);

const SILENT: &str = "it does not answer";

/// Why following cannot go on as it did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server or the way to it: to be tried again over a new connection.
    Server(String),
    /// What is in the copy is not what we had put there: it has to be built anew.
    Copy(String),
    /// The database cannot be read.
    Database(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Database(error.to_string())
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Trouble::Server(SILENT.into());
        }
        // A script has met something that it cannot work on, or there is what we have never
        // put there. Everything else may pass.
        let ours = matches!(error.code(), Some("ERR" | "WRONGTYPE")) && !matches!(error.kind(), ErrorKind::Io);
        if ours || matches!(error.kind(), ErrorKind::Parse | ErrorKind::UnexpectedReturnType) {
            Trouble::Copy(error.to_string())
        } else {
            Trouble::Server(error.to_string())
        }
    }
}

/// What is known of the server.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// What tells one start of it from another. Empty where it does not tell.
    pub run: String,
    /// Its version.
    pub version: Option<String>,
    /// What is wrong with how it is set up.
    pub warnings: Vec<String>,
}

/// Whether a server can be used, and what is wrong with how it is set up. Blocking.
///
/// # Errors
/// Why it cannot be used.
pub fn examine(target: &Target) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.map_err(|error| error.to_string())?.block_on(async {
        let mut link = Link::connect(target).await?;
        let () = link.ask(&redis::cmd("PING")).await?;
        Ok(link.server().await.warnings)
    });
    asked.map_err(|trouble| match trouble {
        Trouble::Server(why) | Trouble::Copy(why) | Trouble::Database(why) => why,
    })
}

/// A connection.
#[derive(Clone)]
pub(super) struct Link(MultiplexedConnection);

impl Link {
    /// Connects, with the password that `keys` leads to.
    pub(super) async fn connect(target: &Target) -> Result<Link, Trouble> {
        // A password may be asked of a person: not as long as nobody would take it.
        target.reach(CONNECT_LIMIT).await.map_err(|error| Trouble::Server(error.to_string()))?;
        let client = target.client(&|name| std::env::var(name).ok()).map_err(Trouble::Server)?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(CALL_LIMIT));
        let connected = timeout(CONNECT_LIMIT, client.get_multiplexed_async_connection_with_config(&settings)).await;
        // Whatever it answers here, it is not about the copy.
        let connected = connected.map_err(|_| Trouble::Server(SILENT.into()))?;
        connected
            .map(Link)
            .map_err(|error| Trouble::Server(if error.is_timeout() { SILENT.to_owned() } else { error.to_string() }))
    }

    /// What is known of the server. One who does not tell is as good as any.
    pub(super) async fn server(&mut self) -> Server {
        let info: String = match self.ask(redis::cmd("INFO").arg("server").arg("memory")).await {
            Ok(info) => info,
            Err(_) => return Server::default(),
        };
        let values: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let mut warnings = Vec::new();
        let policy = values.get("maxmemory_policy").copied().unwrap_or("noeviction");
        if policy != "noeviction" && values.get("maxmemory").is_some_and(|limit| *limit != "0") {
            warnings
                .push(format!("its maxmemory-policy is {policy}: it may drop tasks without a word; use noeviction"));
        }
        let run = values.get("run_id").copied().unwrap_or_default().to_owned();
        Server { run, version: values.get("redis_version").map(|version| (*version).to_owned()), warnings }
    }

    /// One command.
    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Trouble> {
        limited(command.query_async(&mut self.0)).await
    }

    /// Several commands at once.
    pub(super) async fn ask_all<T: FromRedisValue>(&mut self, commands: &Pipeline) -> Result<T, Trouble> {
        limited(commands.query_async(&mut self.0)).await
    }

    /// One of our scripts; it is loaded where the server does not have it yet.
    pub(super) async fn run(&mut self, call: ScriptInvocation<'static>) -> Result<String, Trouble> {
        limited(call.invoke_async(&mut self.0)).await
    }
}

async fn limited<T>(call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Trouble> {
    match timeout(CALL_LIMIT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Trouble::Server(SILENT.into())),
    }
}
