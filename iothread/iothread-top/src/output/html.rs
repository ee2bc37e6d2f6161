//! The pool as a page: the picture, and all figures below it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Show;
use super::markup::escape;
use super::svg::picture;
use crate::sample::Look;
use crate::view::{Row, rows, summary};

const STYLE: &str = "body{font:14px sans-serif;margin:2em;color:#123}table{border-collapse:collapse;margin-top:1em}\
th,td{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #cdd5dd;vertical-align:top}\
td.n,th.n{text-align:right}svg{max-width:100%;height:auto}";

/// A page that needs nothing else.
pub(super) fn page(looks: &[Arc<Look>], show: &Show, now: Instant) -> String {
    let mut shown = rows(looks, show.shows_internal);
    show.filter.apply(&mut shown, now);
    show.order.sort(&mut shown, now);
    let time = humantime::format_rfc3339_seconds(SystemTime::now());
    let class = |is_number: bool| if is_number { " class=\"n\"" } else { "" };
    let every: Vec<&Row> = shown.iter().collect();
    let fields = show.fields.columns(&every);
    let mut table = String::from("<tr>");
    for field in &fields {
        let class = class(field.is_number());
        table.push_str(&format!(
            "<th scope=\"col\"{class}>{}</th>",
            field.heading()
        ));
    }
    table.push_str("</tr>\n");
    for row in &shown {
        table.push_str("<tr>");
        for field in &fields {
            let class = class(field.is_number());
            table.push_str(&format!(
                "<td{class}>{}</td>",
                escape(&field.text(row, now))
            ));
        }
        table.push_str("</tr>\n");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>IOThreads</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>IOThreads</h1>\n\
         <p>{}; <time>{time}</time></p>\n{}<table>\n{table}</table>\n</body>\n</html>\n",
        escape(&summary(looks, &shown)),
        picture(looks, show, now)
    )
}
