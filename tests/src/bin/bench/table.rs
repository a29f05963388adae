//! Tables of medians, and the ratios that matter.

use std::fmt;

/// One figure with what is to be said about it.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) value: f64,
    pub(crate) note: String,
}

/// Rows by name, columns by heading.
pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Cell>)>,
}

impl Table {
    pub(crate) fn new(title: &str, columns: Vec<String>) -> Self {
        Table {
            title: title.to_owned(),
            columns,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, name: &str, cells: Vec<Cell>) {
        self.rows.push((name.to_owned(), cells));
    }

    /// The figures of a row.
    pub(crate) fn values(&self, name: &str) -> Option<impl Iterator<Item = f64>> {
        let row = self.rows.iter().find(|row| row.0 == name)?;
        Some(row.1.iter().map(|cell| cell.value))
    }

    /// Of one row to another in the last column, if both are there.
    pub(crate) fn ratio(&self, name: &str, to: &str) -> Option<f64> {
        let last = |name: &str| Some(self.rows.iter().find(|row| row.0 == name)?.1.last()?.value);
        Some(last(name)? / last(to)?)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |cell: &Cell| {
            format!("{:.1} {}", cell.value, cell.note)
                .trim_end()
                .to_owned()
        };
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.1.get(column));
            let widest = cells.map(|cell| text(cell).len()).max().unwrap_or(0);
            widest.max(self.columns[column].len()) + 3
        };
        writeln!(out, "\n{}", self.title)?;
        write!(out, "{:18}", "")?;
        for (column, heading) in self.columns.iter().enumerate() {
            write!(out, "{heading:>0$}", width(column))?;
        }
        for (name, cells) in &self.rows {
            write!(out, "\n{name:18}")?;
            for (column, cell) in cells.iter().enumerate() {
                write!(out, "{:>1$}", text(cell), width(column))?;
            }
        }
        for (name, to) in [
            ("Causeway", "reflector"),
            ("Causeway", "Kamailio, tuned"),
            ("Kamailio, tuned", "reflector"),
        ] {
            if let Some(ratio) = self.ratio(name, to) {
                write!(out, "\n  {name} / {to}: {ratio:.2} (last column)")?;
            }
        }
        writeln!(out)
    }
}

/// The middle of some figures.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn ratios_are_of_the_last_column() {
        let cell = |value| Cell {
            value,
            note: String::new(),
        };
        let mut table = Table::new("t", vec!["a".into(), "b".into()]);
        table.row("Causeway", vec![cell(1.0), cell(6.0)]);
        table.row("reflector", vec![cell(1.0), cell(4.0)]);
        assert_eq!(table.ratio("Causeway", "reflector"), Some(1.5));
        assert_eq!(table.ratio("Causeway", "nobody"), None);
        assert!(table.to_string().contains("Causeway / reflector: 1.50"));
    }
}
