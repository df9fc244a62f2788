//! Mistakes for people: the line, a caret, the fix.

use crate::mistake::{Mistake, Mistakes, SourceText};
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use std::fmt::Write as _;

impl Mistakes {
    /// All mistakes as text of several lines, each with the place in the file and the fix; ends with a
    /// line that counts them. With `color` there are ANSI escape codes in it.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for mistake in self.list() {
            out.push_str(&one(&renderer, self.source(), mistake));
            out.push_str("\n\n");
        }
        let count = self.list().len() + self.left_out();
        let plural = if count == 1 { "" } else { "s" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{count} mistake{plural} in {}", self.file());
        if self.left_out() > 0 {
            let _ = write!(out, "; {} of them not shown", self.left_out());
        }
        out.push('\n');
        out
    }
}

fn one(renderer: &Renderer, source: &SourceText, mistake: &Mistake) -> String {
    let title = Level::ERROR.primary_title(mistake.message.as_str()).id(mistake.code);
    let mut group = match mistake.span {
        Some(span) => {
            let span = source.clamp(span);
            let mut primary = AnnotationKind::Primary.span(span.start..span.end);
            if !mistake.label.is_empty() {
                primary = primary.label(mistake.label.as_str());
            }
            let related = mistake.related.iter().map(|related| {
                let span = source.clamp(related.span);
                AnnotationKind::Context.span(span.start..span.end).label(related.label.as_str())
            });
            title.element(
                Snippet::source(source.text.as_str())
                    .path(source.file.as_str())
                    .annotation(primary)
                    .annotations(related),
            )
        }
        None => title.element(Origin::path(source.file.as_str())),
    };
    if let Some(fix) = &mistake.fix {
        group = group.element(Level::HELP.message(fix.as_str()));
    }
    renderer.render(&[group])
}
