//! A room that is worked in, suspended and closed.

use std::sync::PoisonError;

use crate::platform::sync::RwLock;

/// The door of a room: many work in it at once, and whoever suspends or closes it waits until they have left.
///
/// When [`change`](Self::change) has made the room something else than [`Room::Open`], nobody is in it and nobody gets in.
#[derive(Debug)]
pub struct Door<S> {
    room: RwLock<Room<S>>,
}

/// What is behind the door.
#[derive(Debug)]
pub enum Room<S> {
    /// May be worked in.
    Open(S),
    /// Until it is opened again; what can be kept till then is kept.
    Suspended(Option<S>),
    /// For ever.
    Closed,
}

/// Why nobody gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// It is suspended.
    Suspended,
    /// It is closed.
    Closed,
}

impl<S> Door<S> {
    /// An open door.
    pub fn new(content: S) -> Self {
        Self { room: RwLock::new(Room::Open(content)) }
    }

    /// Works inside.
    ///
    /// # Errors
    /// Why nobody gets in.
    pub fn enter<T>(&self, work: impl FnOnce(&S) -> T) -> Result<T, Shut> {
        match &*self.room.read().unwrap_or_else(PoisonError::into_inner) {
            Room::Open(content) => Ok(work(content)),
            Room::Suspended(_) => Err(Shut::Suspended),
            Room::Closed => Err(Shut::Closed),
        }
    }

    /// Replaces the room by what `change` makes of it, alone with it; the result is the caller's. If `change` panics, the
    /// room is closed.
    pub fn change<R>(&self, change: impl FnOnce(Room<S>) -> (Room<S>, R)) -> R {
        let mut room = self.room.write().unwrap_or_else(PoisonError::into_inner);
        let (next, result) = change(std::mem::replace(&mut *room, Room::Closed));
        *room = next;
        result
    }

    /// What is behind the door, which is closed thereby, for its only owner.
    pub fn clear(&mut self) -> Option<S> {
        let room = self.room.get_mut().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(room, Room::Closed) {
            Room::Open(content) | Room::Suspended(Some(content)) => Some(content),
            Room::Suspended(None) | Room::Closed => None,
        }
    }
}
