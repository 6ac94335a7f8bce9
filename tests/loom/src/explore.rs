//! Running a model through all its executions.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::model::Builder;

/// Runs `model` through every execution, or panics with the first that fails.
pub fn check(name: &str, model: impl Fn() + Send + Sync + 'static) {
    run(name, None, model);
}

/// As [`check`], through every execution with at most `preemptions` switches of threads that could have gone on. Switches at
/// which a thread has to wait are not counted.
pub fn check_within(name: &str, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    run(name, Some(preemptions), model);
}

/// Runs the broken `model` of the test named `test` until it fails, and says in which execution and how.
///
/// A process of its own does it: threads that wait for ever cannot be unwound, which ends a process.
///
/// # Panics
/// If it never fails: then the model cannot see what was broken.
pub fn find_failure(test: &str, name: &str, model: impl Fn() + Send + Sync + 'static) {
    if std::env::var_os(BROKEN).is_some() {
        return fail(model);
    }
    let program = std::env::current_exe().expect("a test program has a path");
    let output = Command::new(program).args(["--exact", test, "--nocapture"]).env(BROKEN, "1").output();
    let output = output.expect("a test program can be run");
    let text = String::from_utf8_lossy(&output.stderr);
    let caught = text.lines().find_map(|line| line.strip_prefix(CAUGHT));
    let caught = caught.unwrap_or_else(|| panic!("{name}: nothing was found\n{text}"));
    println!("{name}: caught in execution {caught}");
}

/// Set in the process that runs a broken model.
const BROKEN: &str = "UNISONO_LOOM_BROKEN";
/// Begins the line in which that process says what it found.
const CAUGHT: &str = "caught in execution ";

fn fail(model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = counted(&executions, model);
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let how = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        eprintln!("{CAUGHT}{}: {}", executions.load(Ordering::Relaxed), how.lines().next().unwrap_or_default());
        std::process::exit(1);
    }));
    builder(None).check(counted);
}

fn run(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    builder(preemptions).check(counted(&executions, model));
    let executions = executions.load(Ordering::Relaxed);
    assert!(executions > 1, "{name}: a model with one execution has nothing that runs at the same time");
    match preemptions {
        None => println!("{name}: all {executions} executions"),
        Some(bound) => println!("{name}: {executions} executions, with up to {bound} preemptions"),
    }
}

fn counted(
    executions: &Arc<AtomicUsize>,
    model: impl Fn() + Send + Sync + 'static,
) -> impl Fn() + Send + Sync + 'static {
    let executions = executions.clone();
    move || {
        executions.fetch_add(1, Ordering::Relaxed);
        model();
    }
}

/// Not from the environment: what is explored is the model's own.
fn builder(preemptions: Option<usize>) -> Builder {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 20_000;
    (builder.max_duration, builder.max_permutations, builder.checkpoint_file) = (None, None, None);
    builder
}
