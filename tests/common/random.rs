//! Random choices that can be made again.

/// Splitmix64: the same again for the same seed.
pub struct Random(u64);

impl Random {
    /// From `AUTODEV_SEED`, which is printed; a new one where that says none.
    pub fn new() -> Random {
        use std::hash::{BuildHasher, Hasher};
        let seed = std::env::var("AUTODEV_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish());
        println!("AUTODEV_SEED={seed}");
        Random::seeded(seed)
    }

    pub fn seeded(seed: u64) -> Random {
        Random(seed)
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Puts items into no order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}
