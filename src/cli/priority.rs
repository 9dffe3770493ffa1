//! `autodev priority`: moves tasks up or down in the queue.

use super::select::{FilterArgs, SelectArgs};
use super::{Context, Status, act};
use crate::protocol::Fault;
use crate::protocol::request::Action;
use crate::task::spec::MAX_PRIORITY;

/// Arguments of `autodev priority`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, override_usage = "autodev priority [OPTIONS] [TASK]... N")]
pub struct Args {
    /// Tasks (42, 3-9, 3,5; with --label and the like only those of them that match) and, at
    /// the end, the priority: -100 to 100, higher goes first
    #[arg(value_name = "TASK... N", required = true, num_args = 1.., allow_negative_numbers = true, add = super::complete::tasks())]
    words: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

const EXAMPLES: &str = "\
One point of priority is worth ten minutes of waiting.

Examples:
  Let a task go before the others:
    autodev priority 42 100
  Move a whole group back:
    autodev priority --label nightly -20";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let (priority, select) = read(args)?;
    act::run(ctx, Action::Priority(priority), select.select()?, act::Way::plain("change the priority of"))
}

fn read(args: Args) -> Result<(i32, SelectArgs), Fault> {
    let mut tasks = args.words;
    let last = tasks.pop().unwrap_or_default();
    let priority = last.parse::<i32>().ok().filter(|p| (-MAX_PRIORITY..=MAX_PRIORITY).contains(p));
    let priority = priority.ok_or_else(|| {
        Fault::usage(format!("'{last}' is not a priority: -{MAX_PRIORITY} to {MAX_PRIORITY} is expected at the end"))
            .hint("'autodev priority 42 10' gives task 42 priority 10")
    })?;
    Ok((priority, SelectArgs::new(tasks, args.filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<(i32, SelectArgs), Fault> {
        read(Args { words: words.iter().map(|w| (*w).to_owned()).collect(), filter: FilterArgs::default() })
    }

    #[test]
    fn the_last_word_is_the_priority() {
        let (priority, select) = words(&["3-9", "42", "-10"]).unwrap();
        assert_eq!((priority, select.tasks), (-10, vec!["3-9".to_owned(), "42".to_owned()]));
        for bad in [&["42", "101"][..], &["42", "high"], &[]] {
            assert!(words(bad).is_err(), "{bad:?}");
        }
        // A task alone is taken for a priority, and then no task is named.
        assert!(words(&["42"]).unwrap().1.select().is_err());
    }
}
