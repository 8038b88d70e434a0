//! A map whose entries end.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use crate::store::StoreError;

/// Bounded in number and in weight: when it is full of living entries it refuses. What has ended is swept out whenever there are twice as many
/// entries as the last sweep left, so that a minute's tokens are not kept for a day; and at most once a second, so that a full
/// map does not cost every caller a walk through it.
#[derive(Debug)]
pub(super) struct Living<K, V> {
    entries: HashMap<K, (V, Instant)>,
    /// What an entry weighs beyond its place here, in bytes.
    weigh: fn(&V) -> usize,
    weight: usize,
    heaviest: usize,
    swept: Option<Instant>,
    /// A sweep is worth it from here on.
    sweep_at: usize,
    most: usize,
}

impl<K, V> Default for Living<K, V> {
    fn default() -> Self {
        Self::weighing(|_| 0, 0)
    }
}

impl<K, V> Living<K, V> {
    /// One whose entries weigh at most `heaviest` bytes together.
    pub(super) fn weighing(weigh: fn(&V) -> usize, heaviest: usize) -> Self {
        Self { entries: HashMap::new(), weigh, weight: 0, heaviest, swept: None, sweep_at: LEAST, most: MOST }
    }
}

impl<K: Eq + Hash, V> Living<K, V> {
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        let now = Instant::now();
        self.entries.get(key).filter(|(_, ends)| *ends > now).map(|(value, _)| value)
    }

    /// Finds an entry and begins its life anew.
    pub(super) fn touch(&mut self, key: &K, life: Duration) -> Option<&mut V> {
        let now = Instant::now();
        let (value, ends) = self.entries.get_mut(key).filter(|(_, ends)| *ends > now)?;
        *ends = now + life;
        Some(value)
    }

    /// Lets an entry live for `life` at least.
    pub(super) fn keep(&mut self, key: &K, life: Duration) {
        if let Some((_, ends)) = self.entries.get_mut(key) {
            *ends = (*ends).max(Instant::now() + life);
        }
    }

    /// Puts another value into the place of one that lives.
    pub(super) fn replace(&mut self, key: &K, value: V) -> Result<(), StoreError> {
        let Some((old, _)) = self.entries.get_mut(key) else { return Ok(()) };
        let weight = self.weight - (self.weigh)(old) + (self.weigh)(&value);
        if weight > self.heaviest {
            return Err(StoreError::Full);
        }
        *old = value;
        self.weight = weight;
        Ok(())
    }

    pub(super) fn insert(&mut self, key: K, value: V, life: Duration) -> Result<(), StoreError> {
        let now = Instant::now();
        let due = self.swept.is_none_or(|swept| now - swept > PATIENCE);
        let weight = (self.weigh)(&value);
        let heavy = self.weight + weight > self.heaviest;
        if (self.entries.len() >= self.sweep_at.min(self.most) || heavy) && due {
            self.entries.retain(|_, (_, ends)| *ends > now);
            self.weight = self.entries.values().map(|(value, _)| (self.weigh)(value)).sum();
            self.sweep_at = (self.entries.len() * 2).max(LEAST);
            self.entries.shrink_to(self.sweep_at);
            self.swept = Some(now);
        }
        if self.entries.len() >= self.most || self.weight + weight > self.heaviest {
            return Err(StoreError::Full);
        }
        let replaced = self.entries.insert(key, (value, now + life));
        self.weight += weight;
        self.weight -= replaced.map_or(0, |(old, _)| (self.weigh)(&old));
        Ok(())
    }
}

impl<K: Eq + Hash> Living<K, ()> {
    /// Enters a key; `false` when it is there already.
    pub(super) fn spend(&mut self, key: K, life: Duration) -> Result<bool, StoreError> {
        if self.peek(&key).is_some() {
            return Ok(false);
        }
        self.insert(key, (), life).map(|()| true)
    }
}

/// Between two sweeps.
const PATIENCE: Duration = Duration::from_secs(1);

/// Fewer are not worth a sweep.
const LEAST: usize = 1_024;

/// Entries of each kind: about 100 MB at the very worst.
const MOST: usize = crate::store::MOST_SESSIONS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_refuses_until_something_has_ended() {
        let mut map: Living<u32, ()> = Living { sweep_at: 2, most: 4, ..Living::default() };
        let (short, long) = (Duration::from_millis(1), Duration::from_secs(60));
        for key in 0..3 {
            assert_eq!(map.spend(key, long), Ok(true));
        }
        assert_eq!(map.spend(3, short), Ok(true));
        assert_eq!(map.spend(4, long), Err(StoreError::Full));
        assert_eq!(map.spend(0, long), Ok(false), "what is spent stays spent");
        std::thread::sleep(Duration::from_millis(5));
        map.swept = None;
        assert_eq!(map.spend(4, long), Ok(true));
        assert_eq!(map.entries.len(), 4);
    }

    #[test]
    fn what_has_ended_does_not_pile_up() {
        let mut map: Living<usize, ()> = Living::default();
        for key in 0..LEAST * 4 {
            map.insert(key, (), Duration::ZERO).unwrap();
            // As if a second had passed.
            map.swept = None;
        }
        assert!(map.entries.len() <= LEAST, "{}", map.entries.len());
    }

    #[test]
    fn what_weighs_too_much_is_refused_until_something_lighter_takes_its_place() {
        let mut map: Living<u32, usize> = Living::weighing(|value| *value, 10);
        let life = Duration::from_secs(60);
        map.insert(1, 6, life).unwrap();
        assert_eq!(map.insert(2, 5, life), Err(StoreError::Full));
        assert_eq!(map.insert(2, 4, life), Ok(()));
        assert_eq!(map.replace(&2, 5), Err(StoreError::Full));
        map.replace(&1, 1).unwrap();
        map.replace(&2, 9).unwrap();
        assert_eq!((map.peek(&1), map.peek(&2), map.weight), (Some(&1), Some(&9), 10));
        let mut map: Living<u32, usize> = Living::weighing(|value| *value, 10);
        map.insert(1, 10, Duration::ZERO).unwrap();
        map.swept = None;
        map.insert(3, 10, life).unwrap();
        assert_eq!((map.entries.len(), map.weight), (1, 10), "what has ended weighs nothing");
    }

    #[test]
    fn a_kept_entry_never_loses_life() {
        let mut map: Living<u32, ()> = Living::default();
        map.insert(1, (), Duration::from_secs(60)).unwrap();
        let ends = |map: &Living<u32, ()>| map.entries[&1].1;
        let before = ends(&map);
        map.keep(&1, Duration::from_secs(1));
        assert_eq!(ends(&map), before);
        map.keep(&1, Duration::from_secs(600));
        assert!(ends(&map) > before + Duration::from_secs(500));
    }

    #[test]
    fn a_touched_entry_lives_on() {
        let mut map: Living<u32, &str> = Living::default();
        map.insert(1, "a", Duration::ZERO).unwrap();
        assert!(map.touch(&1, Duration::from_secs(1)).is_none(), "it had ended");
        map.insert(1, "b", Duration::from_secs(1)).unwrap();
        assert_eq!(map.touch(&1, Duration::from_secs(60)), Some(&mut "b"));
    }
}
