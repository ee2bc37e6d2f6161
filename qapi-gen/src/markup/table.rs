//! Tables: simple ones, grids, and lists in lists.

use super::block::BlockParser;
use super::line::Line;
use super::{Block, Cell, Inline, MistakeKind, Table};

/// What has more columns is shown as it is: a cell is found by counting characters.
const MAX_COLUMNS: usize = 64;

/// The border that ends a table is looked for in this many lines.
const MAX_LINES: usize = 500;

/// Columns as ranges of characters.
type Columns = Vec<(usize, usize)>;

/// Parses the table at the start of `lines`, if there is one.
pub(super) fn parse<'t>(
    parser: &mut BlockParser<'t>,
    lines: &[Line],
    out: &mut Vec<Block<'t>>,
) -> Option<usize> {
    let text = lines.first()?.text(parser.text);
    if let Some(columns) = simple_columns(text) {
        return Some(simple(parser, lines, &columns, out));
    }
    if text.starts_with("+-") && text.ends_with("-+") {
        return Some(grid(parser, lines, out));
    }
    None
}

/// The columns that a border such as `=====  ===` draws.
fn simple_columns(border: &str) -> Option<Columns> {
    let is_border = border.starts_with("==")
        && border.contains(' ')
        && border.bytes().all(|byte| matches!(byte, b'=' | b' '));
    if !is_border {
        return None;
    }
    let mut columns: Columns = Vec::new();
    let mut was_blank = true;
    for (at, byte) in border.bytes().enumerate() {
        match (byte, was_blank) {
            (b'=', true) => columns.push((at, at + 1)),
            (b'=', false) => columns.last_mut()?.1 = at + 1,
            _ => {}
        }
        was_blank = byte == b' ';
    }
    (2..=MAX_COLUMNS)
        .contains(&columns.len())
        .then_some(columns)
}

fn simple<'t>(
    parser: &mut BlockParser<'t>,
    lines: &[Line],
    columns: &Columns,
    out: &mut Vec<Block<'t>>,
) -> usize {
    let is_border = |line: &Line| simple_columns(line.text(parser.text)).is_some();
    // A border ends the table where a blank line follows it.
    let is_end = |n: usize| is_border(&lines[n]) && lines.get(n + 1).is_none_or(Line::is_blank);
    let Some(end) = (1..lines.len().min(MAX_LINES)).find(|n| is_end(*n)) else {
        let len = lines.iter().position(Line::is_blank).unwrap_or(lines.len());
        return malformed(parser, &lines[..len], out);
    };
    let borders: Vec<usize> = (1..end).filter(|n| is_border(&lines[*n])).collect();
    let base = lines[0].indent;
    let mut table = Table::default();
    let mut rows: Vec<Vec<Cell<'t>>> = Vec::new();
    for (n, line) in lines.iter().enumerate().take(end).skip(1) {
        if Some(&n) == borders.first() && table.head.is_empty() {
            table.head = std::mem::take(&mut rows);
        }
        if line.is_blank() || borders.contains(&n) {
            continue;
        }
        let cells = cells_of(parser, line, base, columns, true);
        // A line without a first cell continues the row above.
        match rows.last_mut() {
            Some(row) if cells[0].is_empty() => join(row, cells),
            Some(_) | None => rows.push(cells),
        }
    }
    table.rows = rows;
    out.push(Block::Table(table));
    end + 1
}

/// The cells of a line; the last column goes to the end of the line if it `is_open`.
fn cells_of<'t>(
    parser: &mut BlockParser<'t>,
    line: &Line,
    base: usize,
    columns: &Columns,
    is_open: bool,
) -> Vec<Cell<'t>> {
    let text = line.text(parser.text);
    let shift = line.indent.saturating_sub(base);
    let byte_at = |column: usize| {
        let n = column.saturating_sub(shift);
        text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
    };
    let mut cells = Vec::with_capacity(columns.len());
    for (n, (from, to)) in columns.iter().enumerate() {
        let is_last = n + 1 == columns.len();
        let start = byte_at(*from);
        let end = if is_last && is_open {
            text.len()
        } else {
            byte_at(*to).max(start)
        };
        let cell = &text[start..end];
        let blanks = cell.len() - cell.trim_start().len();
        let start = line.start + start + blanks;
        let end = (line.start + end - (cell.len() - cell.trim_end().len())).max(start);
        cells.push(parser.inline(&Line {
            start,
            end,
            indent: 0,
        }));
    }
    cells
}

/// Continues the cells of `row`.
fn join<'t>(row: &mut [Cell<'t>], cells: Vec<Cell<'t>>) {
    for (cell, mut more) in row.iter_mut().zip(cells) {
        if more.is_empty() {
            continue;
        }
        if !cell.is_empty() {
            cell.push(Inline::Text(" "));
        }
        cell.append(&mut more);
    }
}

/// A table drawn with `+`, `-` and `|`, each of whose rows has all columns.
fn grid<'t>(parser: &mut BlockParser<'t>, lines: &[Line], out: &mut Vec<Block<'t>>) -> usize {
    let len = lines.iter().position(Line::is_blank).unwrap_or(lines.len());
    let border = lines[0].text(parser.text);
    let corners: Vec<usize> = (0..border.len())
        .filter(|at| border.as_bytes()[*at] == b'+')
        .collect();
    let columns: Columns = corners
        .windows(2)
        .map(|pair| (pair[0] + 1, pair[1]))
        .collect();
    let is_border = border.bytes().all(|byte| matches!(byte, b'+' | b'-'));
    if !is_border || columns.len() > MAX_COLUMNS {
        return malformed(parser, &lines[..len], out);
    }
    let mut table = Table::default();
    let mut rows: Vec<Vec<Cell<'t>>> = Vec::new();
    let mut starts_row = false;
    let mut is_closed = false;
    for line in &lines[..len] {
        let text = line.text(parser.text);
        is_closed = text.starts_with('+');
        if is_closed {
            let has_corners = corners
                .iter()
                .all(|at| text.as_bytes().get(*at) == Some(&b'+'));
            if !has_corners || line.indent != lines[0].indent {
                return malformed(parser, &lines[..len], out);
            }
            if text.starts_with("+=") && table.head.is_empty() {
                table.head = std::mem::take(&mut rows);
            }
            starts_row = true;
            continue;
        }
        let chars: Vec<char> = text.chars().collect();
        let has_bars = corners.iter().all(|at| chars.get(*at) == Some(&'|'));
        if !has_bars || line.indent != lines[0].indent {
            return malformed(parser, &lines[..len], out);
        }
        let cells = cells_of(parser, line, lines[0].indent, &columns, false);
        match rows.last_mut() {
            Some(row) if !starts_row => join(row, cells),
            Some(_) | None => rows.push(cells),
        }
        starts_row = false;
    }
    if !is_closed || columns.is_empty() || (rows.is_empty() && table.head.is_empty()) {
        return malformed(parser, &lines[..len], out);
    }
    table.rows = rows;
    out.push(Block::Table(table));
    len
}

/// What cannot be understood is shown as it is.
fn malformed<'t>(parser: &mut BlockParser<'t>, lines: &[Line], out: &mut Vec<Block<'t>>) -> usize {
    parser.mistake(MistakeKind::Table, &lines[0]);
    let code = parser.code(lines, None);
    out.push(Block::Code(code));
    lines.len()
}

/// The table whose rows are the items of the one list in `blocks`, with the items of a list each
/// as cells; the blocks again if they are something else.
pub(super) fn from_list(
    mut blocks: Vec<Block<'_>>,
    n_head: usize,
) -> Result<Table<'_>, Vec<Block<'_>>> {
    let is_row = |item: &Vec<Block<'_>>| match &item[..] {
        [Block::Bullets(cells)] => cells
            .iter()
            .all(|cell| matches!(&cell[..], [] | [Block::Paragraph(_)])),
        _ => false,
    };
    let is_table = matches!(&blocks[..], [Block::Bullets(rows)] if rows.iter().all(is_row));
    let Some(Block::Bullets(items)) = blocks.pop_if(|_| is_table) else {
        return Err(blocks);
    };
    let mut rows: Vec<Vec<Cell<'_>>> = items.into_iter().map(cells_of_item).collect();
    let rest = rows.split_off(n_head.min(rows.len()));
    Ok(Table {
        title: None,
        head: rows,
        rows: rest,
    })
}

fn cells_of_item(item: Vec<Block<'_>>) -> Vec<Cell<'_>> {
    let mut cells = Vec::new();
    for block in item {
        if let Block::Bullets(items) = block {
            for blocks in items {
                let cell = blocks.into_iter().find_map(|block| match block {
                    Block::Paragraph(content) => Some(content),
                    _ => None,
                });
                cells.push(cell.unwrap_or_default());
            }
        }
    }
    cells
}
