//! After close has returned nobody is inside the storage, and every transaction is answered.

use std::sync::Arc;

use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use unisono::concurrency::{Door, Room, Shut};
use unisono::platform::sync::TurnLock;
use unisono_loom::{check, check_within, find_failure};

/// The handles of a file: used after they were closed, they fail the model.
#[derive(Debug, Default)]
struct Handles {
    closed: AtomicBool,
}

impl Handles {
    fn work(&self) {
        assert!(!self.closed.load(Ordering::Relaxed), "a closed file is worked on");
    }

    fn close(&self) {
        assert!(!self.closed.swap(true, Ordering::Relaxed), "closed twice");
    }
}

/// What a storage needs of a door.
trait Guards: Send + Sync + 'static {
    fn new(handles: Arc<Handles>) -> Self;
    fn work(&self) -> Result<(), Shut>;
    fn close(&self);
}

impl Guards for Door<Arc<Handles>> {
    fn new(handles: Arc<Handles>) -> Self {
        Door::new(handles)
    }

    fn work(&self) -> Result<(), Shut> {
        self.enter(|handles| handles.work())
    }

    fn close(&self) {
        self.change(|room| match room {
            Room::Open(handles) | Room::Suspended(Some(handles)) => (Room::Closed, handles.close()),
            Room::Suspended(None) | Room::Closed => (Room::Closed, ()),
        });
    }
}

fn two_workers_and_two_closers<G: Guards>() {
    let handles = Arc::new(Handles::default());
    let door = Arc::new(G::new(handles.clone()));
    let worker = thread::spawn({
        let door = door.clone();
        move || door.work().is_ok()
    });
    let closer = thread::spawn({
        let door = door.clone();
        move || door.close()
    });
    let early = door.work();
    assert!(matches!(early, Ok(()) | Err(Shut::Closed)));
    door.close();
    assert!(handles.closed.load(Ordering::Relaxed), "close returned, and the file is open");
    assert_eq!(door.work(), Err(Shut::Closed));
    worker.join().unwrap();
    closer.join().unwrap();
}

#[test]
fn after_close_nobody_works_and_a_second_close_does_nothing() {
    check("door: two workers, two closers", two_workers_and_two_closers::<Door<Arc<Handles>>>);
}

#[test]
fn a_suspended_room_is_not_worked_in() {
    check("door: suspend and resume", || {
        let handles = Arc::new(Handles::default());
        let door = Arc::new(Door::new(handles.clone()));
        let worker = thread::spawn({
            let door = door.clone();
            move || door.work()
        });
        door.change(|room| match room {
            Room::Open(handles) => {
                handles.close();
                (Room::Suspended(Some(handles)), ())
            }
            other => (other, ()),
        });
        assert_eq!(door.work(), Err(Shut::Suspended));
        door.change(|room| match room {
            Room::Suspended(Some(handles)) => {
                handles.closed.store(false, Ordering::Relaxed);
                (Room::Open(handles), ())
            }
            other => (other, ()),
        });
        assert_eq!(door.work(), Ok(()));
        assert!(matches!(worker.join().unwrap(), Ok(()) | Err(Shut::Suspended)));
    });
}

/// As a storage runs a transaction: in its turn, behind the door.
async fn transact(turn: &Arc<TurnLock>, door: &Door<Arc<Handles>>) -> Result<(), Shut> {
    let _turn = Arc::clone(turn).lock_owned().await;
    door.work()
}

#[test]
fn close_answers_every_transaction_in_line() {
    check_within("door: two writers in turn and a close", 3, || {
        let (turn, handles) = (Arc::<TurnLock>::default(), Arc::new(Handles::default()));
        let door = Arc::new(Door::new(handles));
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (turn, door) = (Arc::clone(&turn), door.clone());
                thread::spawn(move || block_on(transact(&turn, &door)))
            })
            .collect();
        door.close();
        for writer in writers {
            assert!(matches!(writer.join().unwrap(), Ok(()) | Err(Shut::Closed)));
        }
        assert_eq!(block_on(transact(&turn, &door)), Err(Shut::Closed), "the line goes on");
    });
}

/// Broken: looks at a flag, then works.
struct Flag {
    handles: Arc<Handles>,
    shut: AtomicBool,
}

impl Guards for Flag {
    fn new(handles: Arc<Handles>) -> Self {
        Self { handles, shut: AtomicBool::new(false) }
    }

    fn work(&self) -> Result<(), Shut> {
        if self.shut.load(Ordering::Acquire) {
            return Err(Shut::Closed);
        }
        self.handles.work();
        Ok(())
    }

    fn close(&self) {
        if !self.shut.swap(true, Ordering::AcqRel) {
            self.handles.close();
        }
    }
}

#[test]
fn a_flag_before_the_work_is_caught() {
    find_failure(
        "door::a_flag_before_the_work_is_caught",
        "door, broken: a flag alone",
        two_workers_and_two_closers::<Flag>,
    );
}
