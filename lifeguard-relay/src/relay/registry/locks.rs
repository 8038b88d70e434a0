//! The two primitives the registry stands on, behind a seam so that loom can explore them.

use dashmap::DashMap;
use parking_lot::Mutex;
use uuid::Uuid;

/// A choice of lock and of map.
pub(crate) trait Locks: 'static {
    type Lock<T>: Guarded<T>;
    type Map<V>: SessionMap<V>;
}

/// A value behind a lock.
pub(crate) trait Guarded<T> {
    fn new(value: T) -> Self;
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
}

/// Sessions by id; each operation is atomic for its key.
pub(crate) trait SessionMap<V>: Default {
    /// Runs `f` on the entry, made when it is missing and kept only when `f` succeeds.
    fn with_entry<R, E>(
        &self,
        id: Uuid,
        make: impl FnOnce() -> V,
        f: impl FnOnce(&V) -> Result<R, E>,
    ) -> Result<R, E>;
    /// Removes the entry when `empty` says so; returns whether it did.
    fn remove_if(&self, id: &Uuid, empty: impl FnOnce(&V) -> bool) -> bool;
    fn for_each(&self, visit: impl FnMut(&V));
    #[cfg(test)]
    fn len(&self) -> usize;
}

/// What runs in production: a sharded map, a lock per session.
#[derive(Debug)]
pub(crate) struct Real;

impl Locks for Real {
    type Lock<T> = Mutex<T>;
    type Map<V> = DashMap<Uuid, V>;
}

impl<T> Guarded<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Mutex::new(value)
    }

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock())
    }
}

impl<V> SessionMap<V> for DashMap<Uuid, V> {
    fn with_entry<R, E>(
        &self,
        id: Uuid,
        make: impl FnOnce() -> V,
        f: impl FnOnce(&V) -> Result<R, E>,
    ) -> Result<R, E> {
        match self.entry(id) {
            dashmap::Entry::Occupied(entry) => f(entry.get()),
            dashmap::Entry::Vacant(entry) => {
                let value = make();
                let done = f(&value)?;
                entry.insert(value);
                Ok(done)
            }
        }
    }

    fn remove_if(&self, id: &Uuid, empty: impl FnOnce(&V) -> bool) -> bool {
        DashMap::remove_if(self, id, |_, value| empty(value)).is_some()
    }

    fn for_each(&self, mut visit: impl FnMut(&V)) {
        for entry in self {
            visit(entry.value());
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        DashMap::len(self)
    }
}
