//! Which tasks: numbers, ranges, lists and filters, as several verbs take them.

use super::Context;
use crate::clock::{self, Direction, Timestamp};
use crate::id::TaskId;
use crate::protocol::Fault;
use crate::protocol::request::{Filter, Select};
use crate::provider::Registry;
use crate::task::Status as State;

/// Tasks by number or by what they are.
#[derive(Debug, Default, clap::Args)]
pub struct SelectArgs {
    /// Tasks: 42, 3-9, or 3,5,7-9; with --label and the like only those of them that match
    #[arg(value_name = "TASK", add = super::complete::tasks())]
    pub tasks: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

impl SelectArgs {
    /// From what has been read already.
    pub fn new(tasks: Vec<String>, filter: FilterArgs) -> Self {
        SelectArgs { tasks, filter }
    }

    /// The selection, which must name something.
    ///
    /// # Errors
    /// `Usage` when nothing is named, or not sensibly.
    pub fn select(&self) -> Result<Select, Fault> {
        if self.tasks.is_empty() && self.filter.is_empty() {
            return Err(Fault::usage("no task is named")
                .hint("name tasks (42, 3-9, 3,5) or select them with --state, --label, --provider, --role"));
        }
        let mut select = parse(&self.tasks)?;
        if !self.filter.is_empty() {
            select.filter = Some(self.filter.filter());
        }
        Ok(select)
    }

    /// No tasks are meant but the queue as a whole: nothing is named, or at most a
    /// provider, which is given back.
    pub fn whole_queue(&self) -> Option<Option<String>> {
        let others = FilterArgs { provider: None, ..self.filter.clone() };
        (self.tasks.is_empty() && others.is_empty()).then(|| self.filter.provider.clone())
    }
}

/// Tasks by what they are.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FilterArgs {
    /// Only tasks in this state; several with commas
    #[arg(short, long, value_name = "STATE", value_delimiter = ',', value_parser = states())]
    pub state: Vec<State>,
    /// Only tasks with this label; several with commas, to have all of them
    #[arg(short, long, value_name = "LABEL", value_delimiter = ',')]
    pub label: Vec<String>,
    /// Only tasks of this provider
    #[arg(short, long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Only tasks of this role
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
}

impl FilterArgs {
    /// No filter is given.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty() && self.label.is_empty() && self.provider.is_none() && self.role.is_none()
    }

    /// The filter as the daemon takes it.
    pub fn filter(&self) -> Filter {
        Filter {
            states: self.state.clone(),
            labels: self.label.clone(),
            provider: self.provider.clone(),
            role: self.role.clone(),
            ..Filter::default()
        }
    }
}

/// Said where nothing was found: a provider that is not known may be a misspelt one.
/// It is no error, for tasks outlive the table of their provider.
pub fn note_unknown_provider(ctx: &Context, provider: Option<&str>) {
    let Some(provider) = provider.filter(|_| !ctx.output.is_quiet()) else { return };
    let registry = Registry::load(&ctx.paths);
    if registry.get(provider).is_none() {
        let meant = registry.nearest(provider).map(|name| format!(": did you mean '{name}'?")).unwrap_or_default();
        ctx.output.note(&format!("note: there is no provider '{}'{meant}", super::table::plain(provider)));
    }
}

/// Reads a state, and lists all of them in help and errors.
pub fn states() -> impl clap::builder::TypedValueParser<Value = State> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(State::ALL.map(State::name)).try_map(|name| name.parse::<State>())
}

/// Reads `42`, `3-9`, `3,5,7-9` and lists of them.
///
/// # Errors
/// `Usage` with what is expected.
pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Select, Fault> {
    let mut select = Select::default();
    for word in words.iter().flat_map(|w| w.as_ref().split(',')).map(str::trim) {
        match word.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (task(first, word)?, task(last, word)?);
                if first > last {
                    return Err(Fault::usage(format!("'{word}' runs backwards: write {last}-{first}")));
                }
                select.ranges.push((first, last));
            }
            None => select.tasks.push(task(word, word)?),
        }
    }
    let mut seen = std::collections::HashSet::new();
    select.tasks.retain(|task| seen.insert(*task));
    Ok(select)
}

fn task(text: &str, whole: &str) -> Result<TaskId, Fault> {
    text.parse().map_err(|_| {
        let fault = Fault::usage(format!("'{whole}' is not a task: 42, 3-9 or 3,5,7-9 is expected"));
        match whole.split_once('.') {
            Some((task, _)) if task.parse::<TaskId>().is_ok() => {
                fault.hint(format!("{whole} is an attempt; its task is {task}"))
            }
            _ => fault,
        }
    })
}

/// A moment in the past, as `--since` takes it.
///
/// # Errors
/// `Usage` with what is expected.
pub fn past(text: Option<&String>) -> Result<Option<Timestamp>, Fault> {
    text.map(|text| clock::parse_moment(text, Timestamp::now(), Direction::Back))
        .transpose()
        .map_err(|e| Fault::usage(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[i64]) -> Vec<TaskId> {
        numbers.iter().copied().map(TaskId).collect()
    }

    #[test]
    fn numbers_ranges_and_lists() {
        let select = parse(&["42", "3-9", "5, 7-8,42"]).unwrap();
        assert_eq!(select.tasks, ids(&[42, 5]));
        assert_eq!(select.ranges, vec![(TaskId(3), TaskId(9)), (TaskId(7), TaskId(8))]);
        assert_eq!(parse::<&str>(&[]).unwrap(), Select::default());
    }

    #[test]
    fn nonsense_is_refused_with_what_is_expected() {
        for bad in ["", "x", "0", "-3", "3-", "9-3", "1,,2", "1-2-3", "42.1", "+4", "99999999999999999999"] {
            let fault = parse(&[bad]).unwrap_err();
            assert_eq!(fault.code, crate::protocol::FaultCode::Usage, "{bad}");
        }
        assert_eq!(parse(&["42.1"]).unwrap_err().hint.unwrap(), "42.1 is an attempt; its task is 42");
        assert!(parse(&["9-3"]).unwrap_err().message.contains("3-9"));
    }

    #[test]
    fn naming_nothing_is_an_error() {
        assert!(SelectArgs::default().select().is_err());
        let filter = FilterArgs { label: vec!["x".into()], ..FilterArgs::default() };
        let select = SelectArgs { filter, ..SelectArgs::default() }.select().unwrap();
        assert_eq!(select.filter.unwrap().labels, ["x"]);
    }

    #[test]
    fn the_queue_as_a_whole_is_meant_without_tasks() {
        let with = |tasks: &[&str], filter: FilterArgs| {
            SelectArgs { tasks: tasks.iter().map(|t| (*t).to_owned()).collect(), filter }.whole_queue()
        };
        let provider = || FilterArgs { provider: Some("claude".into()), ..FilterArgs::default() };
        assert_eq!(with(&[], FilterArgs::default()), Some(None));
        assert_eq!(with(&[], provider()), Some(Some("claude".into())));
        assert_eq!(with(&["4"], provider()), None);
        assert_eq!(with(&[], FilterArgs { label: vec!["x".into()], ..provider() }), None);
    }
}
