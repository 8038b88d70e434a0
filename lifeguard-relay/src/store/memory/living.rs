//! A map whose entries end.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use crate::store::StoreError;

/// Bounded: when it is full of living entries it refuses. What has ended is swept out whenever there are twice as many
/// entries as the last sweep left, so that a minute's tokens are not kept for a day; and at most once a second, so that a full
/// map does not cost every caller a walk through it.
#[derive(Debug)]
pub(super) struct Living<K, V> {
    entries: HashMap<K, (V, Instant)>,
    swept: Option<Instant>,
    /// A sweep is worth it from here on.
    sweep_at: usize,
    most: usize,
}

impl<K, V> Default for Living<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), swept: None, sweep_at: LEAST, most: MOST }
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

    pub(super) fn insert(&mut self, key: K, value: V, life: Duration) -> Result<(), StoreError> {
        let now = Instant::now();
        let due = self.swept.is_none_or(|swept| now - swept > PATIENCE);
        if self.entries.len() >= self.sweep_at.min(self.most) && due {
            self.entries.retain(|_, (_, ends)| *ends > now);
            self.sweep_at = (self.entries.len() * 2).max(LEAST);
            self.entries.shrink_to(self.sweep_at);
            self.swept = Some(now);
        }
        if self.entries.len() >= self.most {
            return Err(StoreError::Full);
        }
        self.entries.insert(key, (value, now + life));
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
const MOST: usize = 1 << 19;

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
    fn a_touched_entry_lives_on() {
        let mut map: Living<u32, &str> = Living::default();
        map.insert(1, "a", Duration::ZERO).unwrap();
        assert!(map.touch(&1, Duration::from_secs(1)).is_none(), "it had ended");
        map.insert(1, "b", Duration::from_secs(1)).unwrap();
        assert_eq!(map.touch(&1, Duration::from_secs(60)), Some(&mut "b"));
    }
}
