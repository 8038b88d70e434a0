//! The rows, chapter by chapter.

pub mod home;
mod narrow;
mod nat;
mod path;
mod reaching;
pub mod world;

use crate::row::Row;

/// All rows, in the table's order.
pub fn rows() -> Vec<Row> {
    let chapters =
        [("reaching", reaching::ROWS), ("path", path::ROWS), ("narrow", narrow::ROWS), ("nat", nat::ROWS)];
    let rows = |(chapter, rows): (_, &'static [Row])| rows.iter().map(move |row| Row { chapter, ..*row });
    chapters.into_iter().flat_map(rows).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let names: BTreeSet<String> = rows().iter().map(Row::path).collect();
        assert_eq!(names.len(), rows().len());
    }
}
