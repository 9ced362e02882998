//! Sets of code points as sorted ranges.
//!
//! Code points are `u32`: a pattern may name surrogates, which no text contains.

/// The last code point.
pub(super) const MAX: u32 = 0x10_FFFF;

/// Inclusive ranges of code points. Sorted, disjoint and not adjacent after `tidy`, which every method that needs
/// the order calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    ranges: Vec<(u32, u32)>,
    tidy: bool,
}

impl Set {
    /// The set of these inclusive ranges, in any order.
    pub(super) fn of(ranges: &[(u32, u32)]) -> Self {
        Set { ranges: ranges.to_vec(), tidy: false }
    }

    /// Adds `low..=high`. Memory grows with the distinct ranges, not with the calls.
    pub(super) fn add(&mut self, low: u32, high: u32) {
        self.tidy = false;
        match self.ranges.last_mut() {
            Some(last) if low == last.1.saturating_add(1) => last.1 = high,
            _ => {
                let full = self.ranges.capacity();
                if full >= 1024 && self.ranges.len() == full && self.ranges().len() > full / 2 {
                    self.ranges.reserve(full);
                }
                self.tidy = false;
                self.ranges.push((low, high));
            }
        }
    }

    /// Adds all of `other`.
    pub(super) fn add_all(&mut self, other: &Set) {
        other.ranges.iter().for_each(|&(low, high)| self.add(low, high));
    }

    /// The ranges, sorted, disjoint and not adjacent.
    pub(super) fn ranges(&mut self) -> &[(u32, u32)] {
        if !self.tidy {
            self.ranges.sort_unstable();
            self.ranges.dedup_by(|next, kept| {
                let joins = next.0 <= kept.1.saturating_add(1);
                if joins {
                    kept.1 = kept.1.max(next.1);
                }
                joins
            });
            self.tidy = true;
        }
        &self.ranges
    }

    /// All code points that are not in the set.
    pub(super) fn negated(mut self) -> Set {
        let mut others = Set::default();
        let mut next = 0;
        for &(low, high) in self.ranges() {
            if low > next {
                others.add(next, low - 1);
            }
            next = high.saturating_add(1);
        }
        if next <= MAX {
            others.add(next, MAX);
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged_and_negated() {
        type Ranges = &'static [(u32, u32)];
        let cases: [(Ranges, Ranges, Ranges); 4] = [
            (&[], &[], &[(0, MAX)]),
            (&[(0, MAX)], &[(0, MAX)], &[]),
            (&[(5, 9), (1, 3), (4, 4)], &[(1, 9)], &[(0, 0), (10, MAX)]),
            (&[(5, 9), (6, 7), (20, MAX), (0, 0)], &[(0, 0), (5, 9), (20, MAX)], &[(1, 4), (10, 19)]),
        ];
        for (given, tidy, negated) in cases {
            assert_eq!(Set::of(given).ranges(), tidy, "{given:?}");
            assert_eq!(Set::of(given).negated().ranges(), negated, "{given:?}");
        }
    }
}
