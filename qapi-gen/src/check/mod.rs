//! From syntax trees to a checked schema.

mod draft;
mod error;
mod expression;
mod finish;
mod graph;
mod resolve;

use std::sync::Arc;

use crate::diagnostic::{Level, Lint, LintLevels, Report};
use crate::ir::Pragmas;
use crate::lint;
use crate::loader::Loader;
use crate::outcome::{Compiled, Diagnosis, Rejected};
use crate::source::{FileId, SourceMap, Span};
use crate::syntax::ast::Item;
use crate::syntax::{Comments, read_schema};

use draft::Context;
use graph::{DocSlot, Graph};

/// How a schema is checked; lint levels alone are options, too.
#[derive(Debug, Clone, Default)]
pub struct Options {
    levels: LintLevels,
    comments: Comments,
}

impl Options {
    /// With these levels of lints.
    #[must_use]
    pub fn new(levels: LintLevels) -> Self {
        Self {
            levels,
            comments: Comments::Documentation,
        }
    }

    /// Takes documentation comments for comments: they are neither parsed nor required, no lint looks at them, and
    /// the schema has no documentation. For schemas whose comments follow other rules, such as those of QEMU before 9.1.
    #[must_use]
    pub fn no_doc_check(mut self) -> Self {
        self.comments = Comments::Ignored;
        for lint in Lint::ALL
            .iter()
            .filter(|lint| lint.is_about_documentation())
        {
            self.levels.set(*lint, Level::Allow);
        }
        self
    }
}

impl From<LintLevels> for Options {
    fn from(levels: LintLevels) -> Self {
        Self::new(levels)
    }
}

/// As [`compile`](crate::compile).
pub(crate) fn check(
    path: &str,
    loader: &dyn Loader,
    options: Options,
) -> Result<Compiled, Rejected> {
    let Analysis {
        graph,
        resolved,
        sources,
        mut report,
        pragmas,
        root,
    } = analyse(path, loader, options);
    let sources = Arc::new(sources);
    if report.has_errors() {
        return Err(Rejected::new(report, sources));
    }
    let files = finish::Files {
        sources: Arc::clone(&sources),
        loader,
        root,
    };
    match finish::finish(graph, resolved, &files, pragmas) {
        Ok(schema) => {
            lint::check(&schema, &mut report);
            if !report.has_errors() {
                return Ok(Compiled { schema, report });
            }
        }
        Err(unresolved) => report.push(unresolved.diagnostic()),
    }
    Err(Rejected::new(report, sources))
}

/// The diagnostics of a schema alone, and what else there is of it.
pub(crate) fn diagnose(path: &str, loader: &dyn Loader, options: Options) -> Diagnosis {
    // Lints look at a schema.
    if lint::is_enabled(&options.levels) {
        return Diagnosis::of(check(path, loader, options));
    }
    let analysis = analyse(path, loader, options);
    Diagnosis {
        sources: Arc::new(analysis.sources),
        report: analysis.report,
        _rest: Box::new((analysis.graph, analysis.resolved)),
    }
}

/// A schema whose mistakes are known.
struct Analysis {
    graph: Graph,
    resolved: resolve::Resolved,
    sources: SourceMap,
    report: Report,
    pragmas: Pragmas,
    root: Option<FileId>,
}

fn analyse(path: &str, loader: &dyn Loader, options: Options) -> Analysis {
    let Options { levels, comments } = options;
    let mut sources = SourceMap::new();
    let mut report = Report::new(levels);

    // All files come first: pragmas hold for the whole schema, wherever they stand.
    let mut ast = read_schema(path, loader, comments, &mut sources, &mut report);
    if comments == Comments::Ignored {
        ast.pragmas.forget_documentation();
    }

    // Then the form of every expression by itself, so that what follows deals with names only.
    // Every name is known before the first one is looked up: forward references are fine.
    let mut drafts = Drafts::new(ast.items.len());
    let mut lost_names = ast.lost_names;
    let mut before = None;
    for item in ast.items {
        match item {
            Item::Include(include) => drafts.steps.push(Step::Include(include)),
            Item::FreeForm(doc) => drafts.steps.push(Step::Doc(doc)),
            Item::Definition(definition) => {
                match expression::check_expression(
                    definition,
                    &sources,
                    &ast.pragmas,
                    &mut report,
                    &mut before,
                ) {
                    Ok(draft) => drafts.add(draft, &sources),
                    Err(names) => lost_names.extend(names),
                }
            }
        }
    }
    let graph = drafts.finish(&mut report);

    // What definitions say about each other, in order of definition; types that contain others
    // first ask those. Documentation is compared last, when all members are known.
    let excused = resolve::Excused {
        names: lost_names.into_iter().collect(),
        all: ast.is_incomplete,
    };
    let resolved = resolve::resolve(&graph, &sources, &ast.pragmas, &excused, &mut report);

    Analysis {
        graph,
        resolved,
        sources,
        report,
        pragmas: ast.pragmas,
        root: ast.root,
    }
}

/// An item whose form was checked.
enum Step {
    Include(Box<crate::syntax::ast::Include>),
    Doc(Box<crate::syntax::ast::Doc>),
    Definition(Box<draft::Draft>),
}

/// Definitions on their way into the graph.
struct Drafts {
    graph: Graph,
    /// What follows the last line that has a definition: in messages of later stages, all definitions that start on one
    /// line have the name of the last.
    steps: Vec<Step>,
    /// The last definition, and where it is.
    last: Option<(Context, Span)>,
    /// Names that are defined twice: mistakes of the form come first.
    redefinitions: Report,
}

impl Drafts {
    fn new(n_items: usize) -> Self {
        Self {
            graph: Graph::new(n_items),
            steps: Vec::new(),
            last: None,
            redefinitions: Report::default(),
        }
    }

    fn add(&mut self, draft: draft::Draft, sources: &SourceMap) {
        let last = self.last.as_ref();
        if last.is_some_and(|(_, last)| !same_line(sources, *last, draft.span)) {
            self.flush();
        }
        let context = Context {
            kind: draft.kind,
            name: draft.name.clone(),
        };
        self.last = Some((context, draft.span));
        self.steps.push(Step::Definition(Box::new(draft)));
    }

    fn flush(&mut self) {
        let last = self.last.take();
        for step in self.steps.drain(..) {
            match (step, &last) {
                (Step::Include(include), _) => self.graph.add_include(include.span, include.path),
                (Step::Doc(doc), _) => self.graph.free_docs.push(DocSlot::Free(doc)),
                (Step::Definition(draft), Some((context, _))) => {
                    let report = &mut self.redefinitions;
                    self.graph.add(*draft, context.clone(), report);
                }
                // Each definition that is added is noted as the last.
                (Step::Definition(_), None) => {}
            }
        }
    }

    fn finish(mut self, report: &mut Report) -> Graph {
        self.flush();
        report.append(self.redefinitions);
        self.graph
    }
}

/// Whether `later` starts on the line on which `earlier` starts.
fn same_line(sources: &SourceMap, earlier: Span, later: Span) -> bool {
    let between = Span::new(earlier.start(), later.start().max(earlier.start()));
    let is_line_end = |byte: u8| matches!(byte, b'\n' | b'\r');
    sources.file_of(earlier) == sources.file_of(later)
        && !sources.text(between).bytes().any(is_line_end)
}
