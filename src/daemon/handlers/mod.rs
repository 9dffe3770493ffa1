//! One function for each request. A handler validates, asks the store, and answers only
//! when the store has committed.

mod act;
pub(super) mod figures;
mod inside;
mod open;
mod sessions;
mod settings;
mod submit;

use std::io;
use std::sync::Arc;

use super::callers::Caller;
use super::connection::Connection;
use super::{Daemon, backups, metrics, recover, redis_copy, wait};
use crate::protocol::reply::Change;
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::store::{Applied, StoreError};

/// Answers one request on the connection it came on.
pub(crate) async fn handle(daemon: &Arc<Daemon>, request: Request, connection: &mut Connection) -> io::Result<()> {
    if let Err(fault) = inside::permit(daemon, connection.caller, &request).await {
        return connection.reply(&Reply::Fault(fault)).await;
    }
    let caller = connection.caller;
    let answer = match request {
        Request::AwaitAnswer { request } => return inside::await_answer(daemon, request, connection).await,
        Request::Wait(query) => return wait::wait(daemon, query, connection).await,
        Request::Watch { after } => return wait::watch(daemon, after, connection).await,
        request => answer(daemon, caller, request).await,
    };
    connection.reply(&answer.unwrap_or_else(Reply::Fault)).await
}

async fn answer(daemon: &Arc<Daemon>, caller: Caller, request: Request) -> Result<Reply, Fault> {
    let store = &daemon.store;
    match request {
        Request::Submit(task) => submit::submit(daemon, caller, *task).await,
        Request::SubmitChunk(chunk) => submit::chunk(daemon, chunk).await,
        Request::Resubmit { task, key } => {
            submit::check_key(&key)?;
            store.resubmit(task, key).await.map(Reply::Submitted).map_err(|e| named(e, &format!("task {task}")))
        }
        Request::Select(select) => store.select(select).await.map(Reply::Selected).map_err(fault),
        Request::Status => figures::status(daemon).await.map(|view| Reply::Status(Box::new(view))),
        Request::List(query) => store.list(query, daemon.limits()).await.map(Reply::Tasks).map_err(fault),
        Request::Show(task) => store.show(task, daemon.limits()).await.map(|t| Reply::Task(Box::new(t))).map_err(fault),
        Request::Events(query) => store.events(query).await.map(Reply::Events).map_err(fault),
        Request::Backup { to } => backups::on_request(daemon, to).await,
        Request::Recovery => {
            recover::preview(daemon).await.map(Reply::Recovery).map_err(|e| Fault::internal(e.to_string()))
        }
        Request::Verify => store.verify().await.map(Reply::Verified).map_err(fault),
        Request::Act(order) => act::act(daemon, order).await,
        Request::Edit(edit) => act::edit(daemon, *edit).await,
        Request::Admission { change, provider } => act::admission(daemon, change, provider).await,
        Request::Open(open) => open::open(daemon, *open).await,
        Request::EndSession { session, now } => sessions::end(daemon, &session, now).await,
        Request::Sessions { all, before, limit } => sessions::list(daemon, all, before, limit).await,
        Request::Session { target } => sessions::one(daemon, target).await,
        Request::Rename { session, name } => sessions::rename(daemon, session, name).await,
        Request::Providers => settings::providers(daemon).await,
        Request::Reload => settings::reload(daemon).await,
        Request::Note { task, text } => inside::note(daemon, caller, task, text).await,
        Request::Ask { task, question } => inside::ask(daemon, caller, task, question).await,
        Request::Requests { all } => store.requests(all).await.map(Reply::Asked).map_err(fault),
        Request::Answer { request, text } => inside::answer(daemon, request, text).await,
        Request::AddOutput { task, file, name } => inside::add_output(daemon, caller, task, file, name).await,
        Request::Redis(ask) => redis_copy::on_request(daemon, ask).await,
        Request::Stats { since, by } => {
            figures::stats(daemon, since, by).await.map(|view| Reply::Stats(Box::new(view)))
        }
        Request::Database => figures::database(daemon).await.map(|view| Reply::Database(Box::new(view))),
        Request::Metrics => metrics::text(daemon).await.map(Reply::Text),
        Request::Health => metrics::troubles(daemon).await.map(Reply::Health),
        Request::Outputs(task) => store.outputs(task).await.map(Reply::Outputs).map_err(fault),
        // Streams; taken by `handle`.
        Request::AwaitAnswer { .. } | Request::Wait(_) | Request::Watch { .. } => {
            Err(Fault::internal("a stream asked for as a reply"))
        }
    }
}

/// Does what looks at the user's files where it holds up nobody else: a file system behind
/// a network may not answer for hours.
async fn aside<T: Send + 'static>(
    daemon: &Arc<Daemon>,
    work: impl FnOnce(&Daemon) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let daemon = Arc::clone(daemon);
    let done = tokio::task::spawn_blocking(move || work(&daemon)).await;
    done.unwrap_or_else(|error| Err(Fault::internal(format!("a check has failed: {error}"))))
}

/// A store's error as a client sees it.
pub(crate) fn fault(error: StoreError) -> Fault {
    named(error, "it")
}

/// The same, with the name of what was to be changed.
fn named(error: StoreError, what: &str) -> Fault {
    match error {
        StoreError::Fault(fault) => fault,
        StoreError::Refused(refused) => Fault::conflict(format!("{what} {refused}")),
        StoreError::NotStored(why) => {
            let room = if why.contains("full") { "make room on the disk of the state directory; " } else { "" };
            Fault::new(FaultCode::NotStored, format!("not stored: {why}"))
                .hint(format!("{room}nothing was changed, trying again is safe"))
        }
        StoreError::Unknown(why) => Fault::new(FaultCode::Unknown, format!("not known whether stored: {why}"))
            .hint("repeat with the same --idempotency-key: it is stored at most once"),
    }
}

fn change(applied: &Applied) -> Change {
    Change { state: applied.after, changed: true }
}
