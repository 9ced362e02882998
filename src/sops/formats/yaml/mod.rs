//! YAML as sops 3.12.2 reads and writes it, to the byte: the rules of go.yaml.in/yaml/v3 v3.0.4 (sops-format.md 8.1).
//!
//! Reading goes through `text` (encoding), `scanner` (tokens; with `scalars`, `tags` and `comments`), `parser`
//! (events), `composer` (nodes) and `tree` or `metadata` (what sops makes of them). Writing is `emit`.
//!
//! Time and memory are linear in the input; aliases may add a bounded amount. What sops reads and this does not:
//! nesting deeper than [`MAX_DEPTH`], aliases that write out more than [`ALIAS_ALLOWANCE`], a second byte order mark.

mod comments;
mod composer;
mod emit;
mod metadata;
mod parser;
mod resolve;
mod scalars;
mod scanner;
mod style;
mod tags;
mod text;
mod timestamp;
mod tree;

use crate::{
    failure::{Failure, Result},
    sops::formats::Parsed,
};

pub use emit::{emit, emit_value};
use metadata::Node;

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 1000;

/// How much aliases may write out, in bytes of text plus a charge for each node.
const ALIAS_ALLOWANCE: usize = 16 << 20;

/// The key of the metadata.
const METADATA_KEY: &[u8] = b"sops";

/// Reads a YAML stream: one tree for each document.
///
/// # Errors
/// What sops 3.12.2 cannot read as a file to decrypt, apart from the metadata: anything but YAML 1.1 in UTF-8 or UTF-16,
/// a document that is no mapping, a key that is no string, an integer above `i64`. They name lines, never content.
#[cfg(test)]
fn documents(bytes: &[u8]) -> Result<Vec<crate::sops::value::Branch>> {
    let text = text::decode(bytes)?;
    let graph = composer::compose(&text)?;
    let mut grower = tree::Grower::new(&graph);
    graph.documents.iter().map(|document| grower.document(document, None)).collect()
}

/// Reads an encrypted YAML file and takes off its metadata.
///
/// # Errors
/// What sops 3.12.2 cannot read: anything but YAML 1.1 in UTF-8 or UTF-16, a document that is no mapping, a key that
/// is no string, an integer above `i64`, keys that repeat at the top level of the first document or in its metadata.
pub fn parse(bytes: &[u8]) -> Result<Parsed> {
    let text = text::decode(bytes)?;
    let graph = composer::compose(&text)?;
    let mut grower = tree::Grower::new(&graph);
    let Some(Node::Map(metadata)) = grower.metadata(METADATA_KEY)? else { return Err(Parsed::no_metadata()) };
    let documents = graph.documents.iter().map(|document| grower.document(document, Some(METADATA_KEY)));
    Ok(Parsed { documents: documents.collect::<Result<_>>()?, metadata: metadata::branch(metadata) })
}

/// A failure in a line, counted from 0.
fn fault(line: isize, problem: &str) -> Failure {
    Failure::new(format!("not YAML that sops reads: line {}: {problem}", line + 1))
}
