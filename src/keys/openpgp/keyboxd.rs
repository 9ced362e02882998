//! Where GnuPG's keyboxd keeps public keys, `public-keys.d/pubring.db`: a database of SQLite with a key in each row.
//!
//! All leaves of tables are read, whichever table they belong to, and of their rows what is long enough to be a key. So nothing
//! depends on the names of columns, no tree is walked, and a file of any contents costs no more than its length. What
//! was deleted may show up: that is no harm, since a key counts only with its secret.
//! Facts: SQLite's database file format, 1.3, 1.6 and 2.1.

use super::packets::Fields;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// The head of a file, in front of its first page's own.
const FILE_HEAD: usize = 100;
const TABLE_LEAF: u8 = 13;
/// Fingerprints and other names of keys are not longer.
const NAME: usize = 32;

/// The packets of each key in the database; what is damaged is left out.
pub(super) fn keys(file: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let database = Database::read(file);
    // Rows share no bytes, unless somebody wants them read again and again.
    let mut left = file.len();
    let rows = database.into_iter().flat_map(Database::rows).filter_map(move |row| {
        left = left.checked_sub(row.length)?;
        Some(row)
    });
    rows.filter_map(Row::whole).flat_map(|row| {
        let columns = columns(&row).unwrap_or_default();
        let long = columns.into_iter().filter(|column| column.len() > NAME);
        long.map(<[u8]>::to_vec).collect::<Vec<_>>()
    })
}

#[derive(Clone, Copy)]
struct Database<'f> {
    file: &'f [u8],
    page_size: usize,
    /// What of a page is in use.
    used: usize,
}

/// A row, as it lies in a leaf.
struct Row<'f> {
    database: Database<'f>,
    length: usize,
    /// Its beginning, and the page on which it goes on.
    local: &'f [u8],
    next: u32,
}

impl<'f> Database<'f> {
    fn read(file: &'f [u8]) -> Option<Self> {
        let mut fields = Fields(file.strip_prefix(MAGIC)?);
        let page_size = match fields.number16()? {
            1 => 1 << 16,
            size if size >= 512 => usize::from(size),
            _ => return None,
        };
        let [_, _, reserved] = fields.array()?;
        Some(Self { file, page_size, used: page_size.checked_sub((*reserved).into())? })
    }

    /// Numbers begin at 1.
    fn page(&self, number: usize) -> Option<&'f [u8]> {
        let start = number.checked_sub(1)?.checked_mul(self.page_size)?;
        self.file.get(start..)?.get(..self.page_size)
    }

    fn rows(self) -> impl Iterator<Item = Row<'f>> {
        let pages = (1..).map_while(move |number| Some((number, self.page(number)?)));
        pages.flat_map(move |(number, page)| {
            let head = page.get(if number == 1 { FILE_HEAD } else { 0 }..).unwrap_or_default();
            let cells = match head {
                [TABLE_LEAF, _, _, high, low, _, _, _, cells @ ..] => {
                    let count = usize::from(u16::from_be_bytes([*high, *low]));
                    cells.get(..count * 2).unwrap_or_default()
                }
                _ => &[],
            };
            let starts = cells.chunks_exact(2).filter_map(|start| Fields(start).number16());
            starts.filter_map(move |start| self.row(page.get(start.into()..)?))
        })
    }

    fn row(self, cell: &'f [u8]) -> Option<Row<'f>> {
        let mut rest = cell;
        let length = varint(&mut rest)?;
        let _id = varint(&mut rest)?;
        // What is longer than a page has room for goes on elsewhere.
        let most = self.used.checked_sub(35)?;
        let local = if length <= most {
            length
        } else {
            let least = ((self.used - 12) * 32 / 255).checked_sub(23)?;
            let fitting = least + (length - least) % (self.used - 4);
            if fitting <= most { fitting } else { least }
        };
        let (local, rest) = rest.split_at_checked(local)?;
        let next = if local.len() < length { Fields(rest).number32()? } else { 0 };
        Some(Row { database: self, length, local, next })
    }
}

impl Row<'_> {
    fn whole(self) -> Option<Vec<u8>> {
        let mut row = self.local.to_vec();
        let mut next = self.next;
        while row.len() < self.length {
            let mut page = Fields(self.database.page(next.try_into().ok()?)?.get(..self.database.used)?);
            next = page.number32()?;
            let missing = self.length - row.len();
            row.extend_from_slice(page.take(missing.min(page.0.len()))?);
        }
        Some(row)
    }
}

/// The columns of a row that hold bytes.
fn columns(row: &[u8]) -> Option<Vec<&[u8]>> {
    let mut head = row;
    let length = varint(&mut head)?;
    let (kinds, mut values) = row.split_at_checked(length)?;
    let mut kinds = kinds.get(row.len() - head.len()..)?;
    let mut columns = Vec::new();
    while !kinds.is_empty() {
        let kind = varint(&mut kinds)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            _ => kind.checked_sub(12)? / 2,
        };
        let value;
        (value, values) = values.split_at_checked(length)?;
        if kind >= 12 && kind % 2 == 0 {
            columns.push(value);
        }
    }
    Some(columns)
}

/// A number of 1 to 9 octets: 7 bits in each, 8 in the last of nine.
fn varint(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0_u64;
    for at in 0..9 {
        let (octet, behind) = rest.split_first()?;
        *rest = behind;
        if at == 8 {
            number = number << 8 | u64::from(*octet);
            break;
        }
        number = number << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            break;
        }
    }
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{
        super::{armor, fixtures as f},
        *,
    };

    fn binary(text: &str) -> Vec<u8> {
        armor::blocks(text.as_bytes()).unwrap()[0].bytes.to_vec()
    }

    #[test]
    fn keys_on_one_page_and_on_several() {
        let mut found: Vec<Vec<u8>> = keys(f::KEYBOXD).collect();
        found.sort_by_key(Vec::len);
        assert_eq!(found, [binary(f::CV_PUBLIC), binary(f::SSH_RSA_TO_PUBLIC), b"long".repeat(1000)]);
    }

    #[test]
    fn damage_and_hostility_cost_little() {
        for length in 0..f::KEYBOXD.len() {
            assert!(keys(&f::KEYBOXD[..length]).count() < 4);
        }
        for at in 0..f::KEYBOXD.len() {
            for value in [0, 1, 0x0d, 0x80, 0xff] {
                let mut file = f::KEYBOXD.to_vec();
                file[at] = value;
                let total: usize = keys(&file).map(|key| key.len()).sum();
                assert!(total <= file.len(), "{at} {value}");
            }
        }
        // Twenty pages, and each of their cells is the same long row, which goes on on its own page again and again.
        let mut page = vec![0; 65536];
        page[0] = TABLE_LEAF;
        page[3..5].copy_from_slice(&30_000_u16.to_be_bytes());
        for at in 0..30_000 {
            page[8 + at * 2..][..2].copy_from_slice(&65_000_u16.to_be_bytes());
        }
        page[65_000..65_004].copy_from_slice(&[0x83, 0xff, 0x7f, 0]);
        let mut file = page.repeat(20);
        file[..100].fill(0);
        file[..16].copy_from_slice(MAGIC);
        file[16..18].copy_from_slice(&[0, 1]);
        let start = Instant::now();
        assert_eq!(keys(&file).count(), 0);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
