//! An executor whose tasks run on the model's own threads.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::future::block_on;
use loom::sync::Mutex;
use unisono::platform::BoxFuture;

/// Collects spawned tasks, which a thread of the model runs when it comes to it.
#[derive(Clone, Debug, Default)]
pub struct Executor {
    tasks: Arc<Tasks>,
}

#[derive(Default)]
struct Tasks {
    waiting: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<BoxFuture<'static, ()>>,
    ended: bool,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks(..)")
    }
}

impl Executor {
    /// Takes a task. An executor that has ended drops it, as a runtime that shuts down does.
    pub fn spawn(&self, task: BoxFuture<'static, ()>) {
        let refused = {
            let mut queue = self.tasks.waiting.lock().unwrap();
            if queue.ended {
                Some(task)
            } else {
                queue.tasks.push_back(task);
                None
            }
        };
        // After the lock: a task's drop may spawn.
        drop(refused);
    }

    /// Runs tasks to their ends until none is left.
    pub fn run(&self) {
        while let Some(task) = self.next() {
            block_on(task);
        }
    }

    /// Ends: tasks that have not begun are dropped, and so is every later one.
    pub fn end(&self) {
        self.tasks.waiting.lock().unwrap().ended = true;
        while let Some(task) = self.next() {
            drop(task);
        }
    }

    fn next(&self) -> Option<BoxFuture<'static, ()>> {
        self.tasks.waiting.lock().unwrap().tasks.pop_front()
    }
}
