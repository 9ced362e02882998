//! A list that grows without moving what is in it: a copy of millions of nodes would take their memory twice.

/// Items by number. They stand in pieces, of which only the first grows.
pub(super) struct Pile<T>(Vec<Vec<T>>);

const PIECE: u32 = 1024;

impl<T> Default for Pile<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pile<T> {
    /// Adds an item and gives its number.
    pub fn push(&mut self, item: T) -> u32 {
        let number = self.len();
        match self.0.last_mut() {
            Some(piece) if piece.len() < PIECE as usize => piece.push(item),
            None => self.0.push(vec![item]),
            Some(_) => {
                let mut piece = Vec::with_capacity(PIECE as usize);
                piece.push(item);
                self.0.push(piece);
            }
        }
        number
    }

    pub fn len(&self) -> u32 {
        let Some((last, full)) = self.0.split_last() else { return 0 };
        u32::try_from(full.len() * PIECE as usize + last.len()).unwrap_or(u32::MAX)
    }

    pub fn get(&self, number: u32) -> Option<&T> {
        self.0.get((number / PIECE) as usize)?.get((number % PIECE) as usize)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.0.get_mut((number / PIECE) as usize)?.get_mut((number % PIECE) as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_numbers() {
        let mut pile = Pile::default();
        for number in 0..=3 * PIECE {
            assert_eq!(pile.push(number), number);
        }
        for number in [0, 1, PIECE - 1, PIECE, 2 * PIECE, 3 * PIECE] {
            assert_eq!(pile.get(number), Some(&number));
            *pile.get_mut(number).unwrap() += 1;
        }
        assert_eq!(pile.get(3 * PIECE + 1), None);
        assert_eq!(pile.iter().count(), 3 * PIECE as usize + 1);
        assert_eq!(pile.iter().next(), Some(&1));
    }
}
