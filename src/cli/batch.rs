//! Many tasks at once: read and checked as a whole, then stored in chunks that can be
//! claimed together once the last one is there.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::json;

use super::submit::with_key;
use super::task::{Maker, SHELL, Wish};
use super::{Context, Status, wait};
use crate::client::unexpected;
use crate::id::TaskId;
use crate::protocol::reply::Waited;
use crate::protocol::request::{ListQuery, Select, SubmitChunk};
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::provider::Registry;
use crate::task::{TaskSpec, When};

/// Longest batch, in bytes: it is held in memory as a whole.
pub const MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of text after which a chunk is closed. With one more task, the longest there
/// can be, it still fits into a frame.
const CHUNK_BYTES: usize = 512 * 1024;

/// A checked batch.
#[derive(Debug, Default)]
struct Batch {
    tasks: Vec<TaskSpec>,
    /// (task, what it waits for, condition), by place in the batch, in order.
    after: Vec<(u32, u32, When)>,
    /// Where each task stands in the file.
    lines: Vec<u32>,
}

/// Stores the batch that `text` describes. `defaults` count where a line says nothing.
///
/// # Errors
/// `Usage` naming the line, before anything is sent; then what the daemon refuses.
pub fn run(
    ctx: &Context,
    maker: &mut Maker,
    text: &str,
    defaults: &Wish,
    key: String,
    wait: bool,
) -> Result<Status, Fault> {
    let batch = check(maker, read(text)?, defaults)?;
    for warning in ask_providers(&batch, &Registry::load(&ctx.paths))? {
        ctx.output.note(&format!("warning: {warning}"));
    }
    let mut client = ctx.client()?;
    let mut tasks: Vec<TaskId> = Vec::with_capacity(batch.tasks.len());
    let stored = client.pipeline(chunks(batch, &key), |reply| match reply {
        Reply::BatchStored(stored) => {
            tasks.extend(stored.tasks);
            Ok(())
        }
        other => Err(unexpected(&other)),
    });
    stored.map_err(|fault| match fault.code {
        FaultCode::Unknown => with_key(fault, &key),
        _ if tasks.is_empty() => fault,
        // Chunks are there already; none of them can be claimed before the last.
        _ => {
            let before = fault.hint.as_ref().map_or_else(String::new, |hint| format!("{hint}; "));
            let stored = runs(&tasks).join(",");
            fault.hint(format!(
                "{before}tasks {stored} are stored and wait for the rest: repeat with --idempotency-key {key}, or cancel them"
            ))
        }
    })?;
    let json = ctx.output.is_json();
    if !(wait && json) {
        tell(ctx, &tasks, &key)?;
    }
    if !wait {
        return Ok(Status::OK);
    }
    let mut all = Waited { tasks: Vec::new(), timed_out: false };
    // As many at a time as an answer has room for.
    for part in tasks.chunks(ListQuery::MAX_LIMIT as usize) {
        let select = Select { tasks: part.to_vec(), ..Select::default() };
        let waited = wait::wait(&mut client, select, false, None)?;
        if !ctx.output.is_quiet() && !json {
            wait::tell(ctx, &waited, false)?;
        }
        all.tasks.extend(waited.tasks);
    }
    if json {
        wait::tell(ctx, &all, false)?;
    }
    Ok(wait::status(&all, false))
}

fn tell(ctx: &Context, tasks: &[TaskId], key: &str) -> Result<(), Fault> {
    let out = &ctx.output;
    if out.is_json() {
        return out.json(&json!({ "tasks": tasks, "key": key }));
    }
    if out.is_quiet() {
        return out.text(&tasks.iter().map(|t| format!("{t}\n")).collect::<String>());
    }
    let runs = runs(tasks).join(",");
    match tasks {
        [one] => out.line(&format!("submitted task {one}")),
        all => out.line(&format!("submitted {} tasks: {runs}", all.len())),
    }
}

/// Numbers as ranges, the way selections are written.
fn runs(tasks: &[TaskId]) -> Vec<String> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for TaskId(number) in tasks {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    runs.into_iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect()
}

/// The wishes, each with the number by which the file calls it.
fn read(text: &str) -> Result<Vec<(u32, Wish)>, Fault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        task: Vec<Wish>,
    }
    if text.trim().is_empty() {
        return Err(Fault::usage("the batch is empty"));
    }
    let wishes = if text.trim_start().starts_with('{') {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(number, line)| match serde_json::from_str(line) {
                Ok(wish) => Ok((number, wish)),
                Err(error) => Err(Fault::usage(format!("line {number}: {}", reason(&error)))),
            })
            .collect::<Result<Vec<_>, _>>()?
    } else {
        let file: File = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Fault::usage(format!("line {line}: {}", e.message().trim().replace('\n', ", ")))
                .hint("a batch has a JSON object on each line, or [[task]] tables in TOML")
        })?;
        (1..).zip(file.task).collect()
    };
    if wishes.is_empty() {
        return Err(Fault::usage("the batch is empty"));
    }
    Ok(wishes)
}

/// serde_json's message without the place: each line is a document of its own.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or_else(|| text.clone(), |(what, _)| format!("{what}, at column {}", error.column()))
}

fn check(maker: &mut Maker, wishes: Vec<(u32, Wish)>, defaults: &Wish) -> Result<Batch, Fault> {
    let mut batch = Batch::default();
    let mut places: HashMap<u32, u32> = HashMap::new();
    for (place, (line, wish)) in (0..).zip(wishes) {
        let named = |fault: Fault| Fault { message: format!("line {line}: {}", fault.message), ..fault };
        let (task, lines) = maker.task(or(wish, defaults)).map_err(named)?;
        for (other, when) in lines {
            let earlier = places.get(&other).copied();
            let earlier = earlier.ok_or_else(|| {
                named(
                    Fault::usage(format!("line {other} is no earlier line with a task"))
                        .hint("a task can wait only for lines above its own"),
                )
            })?;
            batch.after.push((place, earlier, when));
        }
        places.insert(line, place);
        batch.tasks.push(task);
        batch.lines.push(line);
    }
    Ok(batch)
}

/// Asks the providers before anything is stored: the daemon would refuse the line in the
/// middle. Returns what is worth knowing, such as a tool that is not installed.
fn ask_providers(batch: &Batch, registry: &Registry) -> Result<Vec<String>, Fault> {
    let (mut asked, mut remarks) = (HashSet::new(), Vec::new());
    for (task, line) in batch.tasks.iter().zip(&batch.lines) {
        if asked.insert((&task.provider, task.mode, task.model.is_some(), task.command.is_empty())) {
            let checked = registry.check(task, &|_| None);
            let checked =
                checked.map_err(|fault| Fault { message: format!("line {line}: {}", fault.message), ..fault })?;
            remarks.extend(checked.not_now);
        }
    }
    Ok(remarks)
}

/// The wish, and where it says nothing, the default.
fn or(wish: Wish, default: &Wish) -> Wish {
    let shell = wish.command.is_some() || wish.provider.as_deref() == Some(SHELL);
    // A line that names one kind of start, or of work, does not get the other one besides.
    let timed = wish.at.is_some() || wish.in_.is_some();
    let default = default.clone();
    Wish {
        title: wish.title,
        description: wish.description,
        provider: match &wish.command {
            Some(_) => wish.provider,
            None => wish.provider.or(default.provider),
        },
        command: wish.command,
        // A command has no model.
        model: wish.model.or(default.model.filter(|_| !shell)),
        mode: wish.mode.or(default.mode),
        dir: wish.dir.or(default.dir),
        role: wish.role.or(default.role),
        full_access: wish.full_access.or(default.full_access),
        priority: wish.priority.or(default.priority),
        after: wish.after.or(default.after),
        at: wish.at.or(default.at.filter(|_| !timed)),
        in_: wish.in_.or(default.in_.filter(|_| !timed)),
        hold: wish.hold.or(default.hold),
        retries: wish.retries.or(default.retries),
        on_interrupt: wish.on_interrupt.or(default.on_interrupt),
        max_restarts: wish.max_restarts.or(default.max_restarts),
        timeout: wish.timeout.or(default.timeout),
        label: wish.label.or(default.label),
    }
}

/// Cuts the batch into chunks, each made when it is asked for.
fn chunks(batch: Batch, key: &str) -> impl Iterator<Item = Request> {
    let key = key.to_owned();
    let mut tasks = batch.tasks.into_iter().peekable();
    let mut after = batch.after.into_iter().peekable();
    let mut first = 0;
    std::iter::from_fn(move || {
        let mut chunk = SubmitChunk { key: key.clone(), first, tasks: Vec::new(), after: Vec::new(), last: false };
        let mut bytes = 0;
        while chunk.tasks.len() < SubmitChunk::MAX_TASKS && bytes < CHUNK_BYTES {
            let Some(task) = tasks.next() else { break };
            bytes += size(&task);
            chunk.tasks.push(task);
        }
        if chunk.tasks.is_empty() {
            return None;
        }
        first += u32::try_from(chunk.tasks.len()).unwrap_or(u32::MAX);
        while let Some(link) = after.next_if(|(task, _, _)| *task < first) {
            chunk.after.push(link);
        }
        chunk.last = tasks.peek().is_none();
        Some(Request::SubmitChunk(chunk))
    })
}

/// About as many bytes as the task takes in a frame.
fn size(task: &TaskSpec) -> usize {
    let environment: usize = task.environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    let command: usize = task.command.iter().map(String::len).sum();
    task.description.len() + command + environment + 512
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::defaults::Found;
    use crate::protocol::codec;

    fn maker() -> Maker {
        Maker::new(
            Box::new(|_| Ok(Found::default())),
            std::collections::BTreeMap::new(),
            None,
            Box::new(|_| Some("agent".into())),
        )
    }

    fn batch(text: &str) -> Result<Batch, Fault> {
        check(&mut maker(), read(text)?, &Wish::default())
    }

    #[test]
    fn lines_and_tables_say_the_same() {
        let lines = r#"
            {"title":"one","command":"true","label":"a","priority":5,"timeout":"2h","full_access":true}

            {"description":"two","provider":"claude","after":["line:2","any:41"],"in":"1h","mode":"interactive"}
        "#;
        let tables = r#"
            [[task]]
            title = "one"
            command = "true"
            labels = ["a"]
            priority = 5
            timeout = "2h"
            full_access = true
            [[task]]
            description = "two"
            provider = "claude"
            after = ["line:1", "any:41"]
            in = "1h"
            mode = "interactive"
        "#;
        for text in [lines, tables] {
            let batch = batch(text).unwrap();
            assert_eq!(batch.tasks.len(), 2);
            assert_eq!(batch.after, [(1, 0, When::Ok)]);
            let [one, two] = batch.tasks.as_slice() else { panic!() };
            assert_eq!((one.title.as_str(), one.provider.as_str(), one.priority), ("one", "shell", 5));
            assert_eq!(one.command, ["sh", "-c", "true"]);
            assert!(one.full_access && one.timeout.is_some() && one.labels == ["a"]);
            assert_eq!((two.provider.as_str(), two.after.len()), ("claude", 1));
            assert!(two.begin.is_some() && two.mode == crate::task::Mode::Interactive);
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, what) in [
            ("{\"command\":\"true\"}\n{\"comand\":\"true\"}", "line 2", "comand"),
            ("{\"command\":\"true\"}\n\n{\"description\":\"\"}", "line 3", "empty"),
            ("{\"command\":\"true\"}\n{", "line 2", "EOF"),
            ("{\"command\":\"true\",\"after\":\"line:1\"}", "line 1", "no earlier line"),
            ("{\"description\":\"x\",\"dir\":\"/no/such/place\"}", "line 1", "/no/such/place"),
            ("[[task]]\ncommand = \"true\"\n[[task]]\nhld = true", "line 4", "hld"),
            ("[[task]]\ncommand = ", "line 2", ""),
            ("just words", "line 1", ""),
        ] {
            let fault = batch(text).unwrap_err();
            assert!(fault.message.starts_with(line) && fault.message.contains(what), "{text}: {fault}");
        }
        assert_eq!(batch("").unwrap_err().code, FaultCode::Usage);
        assert!(batch("\n \n").is_err());
        assert!(batch("task = []").unwrap_err().message.contains("empty"));
    }

    #[test]
    fn options_fill_in_what_a_line_does_not_say() {
        let defaults = Wish {
            provider: Some("claude".into()),
            model: Some("small".into()),
            at: Some("09:00".into()),
            hold: Some(true),
            retries: Some(3),
            ..Wish::default()
        };
        let text = "{\"description\":\"x\",\"in\":\"1h\",\"retries\":0}\n{\"command\":\"true\"}";
        let batch = check(&mut maker(), read(text).unwrap(), &defaults).unwrap();
        let [one, two] = batch.tasks.as_slice() else { panic!() };
        assert_eq!((one.provider.as_str(), one.retries, one.hold), ("claude", 0, true));
        assert_eq!((two.provider.as_str(), two.retries, two.hold), ("shell", 3, true));
        assert_eq!((one.model.as_deref(), two.model.as_deref()), (Some("small"), None), "a command has no model");
    }

    #[test]
    fn chunks_hold_all_in_order_and_fit_into_frames() {
        let line = |n: usize| format!("{{\"command\":\"true {n}\",\"after\":\"line:{}\"}}\n", n.max(1));
        let text = "{\"command\":\"true\"}\n".to_owned() + &(1..600).map(line).collect::<String>();
        let chunks: Vec<_> = chunks(batch(&text).unwrap(), "k").collect();
        let mut next = 0;
        for (n, request) in chunks.iter().enumerate() {
            let Request::SubmitChunk(chunk) = request else { panic!() };
            assert_eq!((chunk.first, chunk.last, chunk.key.as_str()), (next, n + 1 == chunks.len(), "k"));
            assert!(chunk.tasks.len() <= SubmitChunk::MAX_TASKS);
            let own = chunk.first..chunk.first + u32::try_from(chunk.tasks.len()).unwrap();
            assert!(chunk.after.iter().all(|(task, earlier, _)| own.contains(task) && earlier < task));
            next = own.end;
        }
        assert_eq!((next, chunks.len()), (600, 3));

        let big = format!("{{\"description\":\"{}\"}}\n", "x".repeat(crate::task::spec::MAX_DESCRIPTION));
        for request in super::chunks(batch(&big.repeat(3)).unwrap(), "k") {
            codec::encode(&request).unwrap();
        }
    }

    #[test]
    fn numbers_print_as_ranges() {
        let tasks = |numbers: &[i64]| numbers.iter().copied().map(TaskId).collect::<Vec<_>>();
        assert_eq!(runs(&tasks(&[1, 2, 3, 7, 9, 10])), ["1-3", "7", "9-10"]);
        assert_eq!(runs(&[]), Vec::<String>::new());
    }
}
