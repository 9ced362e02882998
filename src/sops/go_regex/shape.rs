//! What Go's expression tree would look like, as far as its limits on depth and on repeats of repeats need it.
//!
//! Go joins neighbouring literals, lifts sequences out of sequences and makes one class of neighbouring single
//! characters in an alternation; each of these keeps the tree flatter than the pattern looks.

/// One node of Go's tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Levels of the tree, this one included.
    pub(super) height: u32,
    /// Largest product of nested repeat counts.
    pub(super) copies: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Literal characters, by whether case is ignored.
    Literal {
        fold: bool,
        single: bool,
    },
    Class,
    Sequence,
    Alternation,
    Other,
}

impl Shape {
    fn leaf(kind: Kind) -> Self {
        Shape { height: 1, copies: 1, kind }
    }

    pub(super) fn literal(fold: bool) -> Self {
        Self::leaf(Kind::Literal { fold, single: true })
    }

    pub(super) fn class() -> Self {
        Self::leaf(Kind::Class)
    }

    pub(super) fn other() -> Self {
        Self::leaf(Kind::Other)
    }

    /// Inside a numbered group.
    pub(super) fn wrapped(self) -> Self {
        Shape { height: self.height.saturating_add(1), kind: Kind::Other, ..self }
    }

    /// Repeated at least and at most so often. Without an upper count the lower one is what Go multiplies; what is
    /// repeated zero times counts for nothing.
    pub(super) fn repeated(self, least: u32, most: Option<u32>) -> Self {
        let copies = match most {
            Some(0) => 1,
            _ => self.copies.saturating_mul(most.unwrap_or(least).max(1)),
        };
        Shape { copies, ..self.wrapped() }
    }

    fn is_single(self) -> bool {
        matches!(self.kind, Kind::Class | Kind::Literal { single: true, .. })
    }

    /// Height below a parent that lifts the children of its own kind.
    fn height_below(self, parent: Kind) -> u32 {
        self.height - u32::from(self.kind == parent)
    }
}

/// The sequence that is being read.
#[derive(Default)]
pub(super) struct Branch {
    /// The last thing, to which a repetition would apply, and where its code begins.
    last: Option<(usize, Shape)>,
    children: Children,
    /// Whether the thing before the last is a literal, by whether case is ignored.
    open_literal: Option<bool>,
}

/// The children of one node, summed up.
#[derive(Default)]
struct Children {
    count: u32,
    only: Option<Shape>,
    height: u32,
    copies: u32,
}

impl Children {
    fn add(&mut self, shape: Shape, parent: Kind) {
        self.count = self.count.saturating_add(1);
        self.only = Some(shape);
        self.height = self.height.max(shape.height_below(parent));
        self.copies = self.copies.max(shape.copies);
    }

    fn finish(&self, kind: Kind) -> Shape {
        match self.only {
            Some(only) if self.count == 1 => only,
            _ => Shape { height: self.height.saturating_add(1), copies: self.copies.max(1), kind },
        }
    }
}

impl Branch {
    /// Adds a thing whose code begins there.
    pub(super) fn add(&mut self, start: usize, shape: Shape) {
        self.settle();
        self.last = Some((start, shape));
    }

    /// Takes back the last thing; `None` at the beginning.
    pub(super) fn take_last(&mut self) -> Option<(usize, Shape)> {
        self.last.take()
    }

    fn settle(&mut self) {
        let Some((_, shape)) = self.last.take() else { return };
        match shape.kind {
            Kind::Literal { fold, .. } if self.open_literal == Some(fold) => {
                if let Some(only) = &mut self.children.only {
                    only.kind = Kind::Literal { fold, single: false };
                }
            }
            Kind::Literal { fold, .. } => {
                self.open_literal = Some(fold);
                self.children.add(shape, Kind::Sequence);
            }
            _ => {
                self.open_literal = None;
                self.children.add(shape, Kind::Sequence);
            }
        }
    }

    pub(super) fn finish(mut self) -> Shape {
        self.settle();
        if self.children.count == 0 {
            return Shape::other();
        }
        self.children.finish(Kind::Sequence)
    }
}

/// The alternatives of a group.
#[derive(Default)]
pub(super) struct Alternatives {
    children: Children,
    /// Whether the last alternative is one character or class.
    single: bool,
}

impl Alternatives {
    pub(super) fn add(&mut self, shape: Shape) {
        if self.single && shape.is_single() {
            if let Some(only) = &mut self.children.only {
                only.kind = Kind::Class;
            }
            return;
        }
        self.single = shape.is_single();
        self.children.add(shape, Kind::Alternation);
    }

    pub(super) fn finish(&self) -> Shape {
        self.children.finish(Kind::Alternation)
    }
}
