//! Which connections are served: so many in all, so many of one peer, and beyond them a small reserve that only tells how the
//! server is. A connection never waits in the kernel's queue, where a health check would stand behind it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::peer::peer_network;

/// Marks a request that came over the reserve: whether the server lives it is told, all else it is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowded;

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections that are served.
    pub(super) total: usize,
    /// Connections of one peer that are served.
    pub(super) per_peer: usize,
    /// Connections beyond these.
    pub(super) reserve: usize,
}

/// Counts connections.
#[derive(Debug)]
pub(super) struct Admission {
    bounds: Bounds,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_peer: BTreeMap<IpAddr, usize>,
    /// The connections of the reserve, oldest first, each with what ends it.
    reserve: VecDeque<(u64, oneshot::Sender<()>)>,
    numbers: u64,
}

/// A connection's place, which its end gives back.
#[derive(Debug)]
pub(super) enum Place {
    /// It is served.
    Served(Served),
    /// It is one of the reserve, until a newer one needs the place: the channel tells.
    Reserve(Reserved, oneshot::Receiver<()>),
}

#[derive(Debug)]
pub(super) struct Served {
    admission: Arc<Admission>,
    peer: IpAddr,
}

#[derive(Debug)]
pub(super) struct Reserved {
    admission: Arc<Admission>,
    number: u64,
}

impl Admission {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection from `address` its place. In a full reserve the oldest makes room: whoever has something to ask has
    /// asked by then.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Place {
        let peer = peer_network(address);
        let mut open = self.open();
        let of_peer = open.by_peer.get(&peer).copied().unwrap_or(0);
        if open.total < self.bounds.total && of_peer < self.bounds.per_peer {
            open.total += 1;
            open.by_peer.insert(peer, of_peer + 1);
            return Place::Served(Served { admission: Arc::clone(self), peer });
        }
        while open.reserve.len() >= self.bounds.reserve.max(1) {
            open.reserve.pop_front();
        }
        let number = open.numbers;
        open.numbers += 1;
        let (end, ended) = oneshot::channel();
        open.reserve.push_back((number, end));
        Place::Reserve(Reserved { admission: Arc::clone(self), number }, ended)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        open.total -= 1;
        match open.by_peer.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.by_peer.remove(&self.peer)),
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.admission.open().reserve.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_served(place: &Place) -> bool {
        matches!(place, Place::Served(_))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_peer_leaves_room_for_others_and_an_end_makes_room() {
        let admission = Admission::new(Bounds { total: 3, per_peer: 2, reserve: 2 });
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held = [admission.admit(one), admission.admit(one)];
        assert!(held.iter().all(is_served));
        assert!(!is_served(&admission.admit(one)));
        let third = admission.admit(other);
        assert!(is_served(&third));
        assert!(!is_served(&admission.admit(other)), "full in all");
        drop(third);
        assert!(is_served(&admission.admit(other)));
        drop(held);
        assert!(is_served(&admission.admit(one)));
        assert!(admission.open().by_peer.is_empty(), "a peer without connections is forgotten");
    }

    #[test]
    fn the_oldest_of_the_reserve_makes_room_for_the_newest() {
        let admission = Admission::new(Bounds { total: 0, per_peer: 1, reserve: 2 });
        let mut ends = Vec::new();
        for _ in 0..4 {
            let Place::Reserve(place, end) = admission.admit(address("192.0.2.1")) else { panic!("nothing is served") };
            ends.push((place, end));
        }
        let ended: Vec<_> =
            ends.iter_mut().map(|(_, end)| end.try_recv() == Err(oneshot::error::TryRecvError::Closed)).collect();
        assert_eq!(ended, [true, true, false, false]);
        assert_eq!(admission.open().reserve.len(), 2);
        drop(ends);
        assert!(admission.open().reserve.is_empty());
    }
}
