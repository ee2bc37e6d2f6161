//! What people and scripts see of looks: rows, of which each field is a column.

mod field;
mod filter;
mod group;
mod order;
mod printable;
mod row;
mod table;

pub(crate) use self::field::{Field, FieldList, short};
pub(crate) use self::filter::{Condition, Filter};
pub(crate) use self::group::{Grouping, group};
pub(crate) use self::order::Order;
pub(crate) use self::printable::{cut, padded, printable};
pub(crate) use self::row::{Row, counted, rows, seconds, summary};
pub(crate) use self::table::{Layout, Room};
