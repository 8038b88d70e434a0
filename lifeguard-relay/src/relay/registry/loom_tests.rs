//! Every interleaving of two and three threads that join and leave the same session.

use std::collections::HashMap;

use loom::{sync::Mutex, thread};

use super::*;

struct Loom;

impl Locks for Loom {
    type Lock<T> = Mutex<T>;
    type Map<V> = LoomMap<V>;
}

impl<T> Guarded<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Mutex::new(value)
    }

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock().unwrap())
    }
}

/// One lock for all keys: the strictest reading of "atomic for its key".
struct LoomMap<V>(Mutex<HashMap<Uuid, V>>);

impl<V> Default for LoomMap<V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<V> SessionMap<V> for LoomMap<V> {
    fn with_entry<R, E>(
        &self,
        id: Uuid,
        make: impl FnOnce() -> V,
        f: impl FnOnce(&V) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut map = self.0.lock().unwrap();
        if let Some(value) = map.get(&id) {
            return f(value);
        }
        let value = make();
        let done = f(&value)?;
        map.insert(id, value);
        Ok(done)
    }

    fn remove_if(&self, id: &Uuid, empty: impl FnOnce(&V) -> bool) -> bool {
        let mut map = self.0.lock().unwrap();
        if !map.get(id).is_some_and(empty) {
            return false;
        }
        map.remove(id).is_some()
    }

    fn for_each(&self, mut visit: impl FnMut(&V)) {
        self.0.lock().unwrap().values().for_each(&mut visit);
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

type Explored = Registry<u32, (), Loom>;

fn enter(registry: &Explored, peer: u32) -> Joined<u32, (), Loom> {
    let card = Card { peer_id: Uuid::from_u128(peer.into()), role: Role::Viewer, wire: Wire::V2 };
    registry.join(Uuid::nil(), card, || (), |_, _| peer, |_, _, _| {}).unwrap()
}

fn leave(registry: &Explored, joined: &Joined<u32, (), Loom>) -> bool {
    registry.leave(&joined.session, joined.address, |_, _, _| {})
}

/// Whoever is a member can be found by the next to come: it is in the session the map knows.
fn peers_in_map(registry: &Explored) -> usize {
    let mut peers = 0;
    registry.for_each(|session| peers += session.with_roster(Roster::len));
    peers
}

#[test]
fn a_join_that_meets_the_last_leave_is_never_lost() {
    loom::model(|| {
        let registry = Arc::new(Explored::new(8));
        let first = enter(&registry, 1);
        let newcomer = thread::spawn({
            let registry = registry.clone();
            move || enter(&registry, 2)
        });
        leave(&registry, &first);
        let second = newcomer.join().unwrap();
        assert_eq!((registry.len(), peers_in_map(&registry)), (1, 1));
        assert!(leave(&registry, &second));
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn two_that_come_and_go_leave_nothing_behind() {
    loom::model(|| {
        let registry = Arc::new(Explored::new(8));
        let visitors: Vec<_> = [1, 2]
            .map(|peer| {
                let registry = registry.clone();
                thread::spawn(move || {
                    let joined = enter(&registry, peer);
                    leave(&registry, &joined);
                })
            })
            .into();
        for visitor in visitors {
            visitor.join().unwrap();
        }
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn two_connections_of_one_peer_leave_exactly_one_slot() {
    loom::model(|| {
        let registry = Arc::new(Explored::new(8));
        let other = thread::spawn({
            let registry = registry.clone();
            move || enter(&registry, 1)
        });
        let mine = enter(&registry, 1);
        let theirs = other.join().unwrap();
        assert_eq!(peers_in_map(&registry), 1);
        assert_eq!([&mine, &theirs].iter().filter(|j| j.superseded.is_some()).count(), 1);
        // The fenced one's farewell does not throw the newer one out.
        let fenced = if mine.superseded.is_some() { &theirs } else { &mine };
        assert!(!leave(&registry, fenced));
        assert_eq!(peers_in_map(&registry), 1);
    });
}

#[test]
fn who_was_put_out_never_meets_a_session_that_forgot_it() {
    loom::model(|| {
        let registry = Arc::new(Explored::new(8));
        let last = enter(&registry, 1);
        last.session.evict(Uuid::from_u128(2), |_, _, _| {});
        let newcomer = thread::spawn({
            let registry = registry.clone();
            move || {
                let card = Card { peer_id: Uuid::from_u128(2), role: Role::Viewer, wire: Wire::V2 };
                registry.join(Uuid::nil(), card, || (), |_, _| 2, |_, _, _| {}).err()
            }
        });
        leave(&registry, &last);
        assert_eq!(newcomer.join().unwrap(), Some(JoinRefused::Removed));
        assert_eq!(registry.len(), 0);
    });
}
