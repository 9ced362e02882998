//! Shapes of documents: nesting, comments, several documents, anchors, blank lines, line ends.

use crate::{
    case::{Case, Format},
    tools::WRITERS,
};

/// YAML documents by name.
const YAML: &[(&str, &str)] = &[
    ("empty-map", "a: {}\nb: []\nc: x\n"),
    ("only-empty-map", "a: {}\n"),
    ("nothing", ""),
    ("top-empty-map", "{}\n"),
    ("top-null", "null\n"),
    ("top-list", "- a\n- b\n"),
    ("top-scalar", "hello\n"),
    ("flow", "{a: 1, b: [x, {y: z}], c: {d: {e: f}}}\n"),
    ("flow-lines", "a: [\n  x,\n  y, # c\n  {z: 1}\n]\nb: {\n  c: d\n}\n"),
    ("list-of-lists", "a:\n  - - 1\n    - 2\n  - - - 3\n      - - 4\n  - []\n  - [[], [{}]]\n"),
    (
        "list-of-maps",
        "a:\n  - b: 1\n    c: 2\n  - d:\n      e: 3\n      f:\n        - 4\n  - g:\n    - 5\n    - h: 6\n",
    ),
    ("list-at-key-column", "a:\n- b\n- c:\n  - d\ne: f\n"),
    ("indent-8", "a:\n        b:\n                c: d\n"),
    ("indent-1", "a:\n b:\n  c:\n   - d\n"),
    ("deep", "a: {b: {c: {d: {e: {f: {g: {h: {i: {j: {k: [[[[[[[[l]]]]]]]]}}}}}}}}}}}\n"),
    (
        "long-line",
        "a: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz wwwwwwwwwwwwwwwwwwwwwww\nb_unencrypted: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy zzzzzzzzzzzzzzzzzzzzz wwwwwwwwwwwwwwwww\n",
    ),
    (
        "long-key",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: b\n",
    ),
    (
        "long-nested-key",
        "x:\n  - aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:\n      b: c\n",
    ),
    ("explicit-key", "? a\n: b\n? c d\n: - e\n"),
    ("explicit-multi-line-key", "? |\n  a\n  b\n: c\n"),
    ("int-key", "1: a\n"),
    ("null-key", "~: a\n"),
    ("map-key", "{a: b}: c\n"),
    ("bool-key", "true: a\n"),
    ("duplicate-key", "a: 1\na: 2\n"),
    ("nested-duplicate-key", "x:\n  a: 1\n  a: 2\n"),
    ("multi-line-plain", "a: one\n  two\n  three\nb: x\n"),
    ("multi-line-quoted", "a: \"one\n  two\n\n  three\"\nb: 'x\n  y'\n"),
    ("crlf", "a: b\r\nc:\r\n  - d\r\ne: |\r\n  f\r\n  g\r\n"),
    ("bom", "\u{feff}a: b\n"),
    ("no-final-newline", "a: b"),
    ("tabs-after-values", "a: b\t\nc:\t d\n"),
    ("trailing-blanks", "a: b   \nc:   \n  d: e   \n"),
    ("blank-lines", "\n\na: b\n\n\nc:\n\n  d: e\n\n  f: g\n\n\n"),
    // several documents
    ("two-documents", "a: b\n---\nc: d\n"),
    ("three-documents", "---\na: b\n---\nc: [d]\n---\ne: {f: g}\n...\n"),
    ("empty-document", "a: b\n---\n---\nc: d\n"),
    ("null-document", "a: b\n---\nnull\n---\nc: d\n"),
    ("empty-first-document", "---\n---\na: b\n"),
    ("list-document", "a: b\n---\n- c\n"),
    ("documents-with-comments", "# one\na: b\n# two\n---\n# three\nc: d\n# four\n"),
    ("directive", "%YAML 1.2\n---\na: b\n"),
    ("document-end", "a: b\n...\n---\nc: d\n...\n"),
    // anchors
    ("alias", "a: &x b\nc: *x\nd: [*x, *x]\n"),
    ("alias-of-map", "a: &x\n  b: c\n  d: [e]\nf: *x\n"),
    ("alias-of-list", "a: &x [1, 2]\nb: *x\nc:\n  - *x\n"),
    ("alias-key", "a: &x k\n*x : v\n"),
    ("merge", "base: &b\n  x: 1\n  y: 2\nderived:\n  <<: *b\n  y: 3\n"),
    ("merge-list", "b: &b {x: 1}\nc: &c {y: 2}\nd:\n  <<: [*b, *c]\n  z: 3\n"),
    ("merge-inline", "d:\n  <<: {a: 1}\n  z: 3\n"),
    ("anchor-without-alias", "a: &x b\nc: &y {d: e}\n"),
    ("anchor-again", "a: &x 1\nb: *x\nc: &x 2\nd: *x\n"),
    ("nested-anchors", "a: &x\n  b: &y 5\n  c: *y\nd: *x\n"),
    ("anchored-unencrypted", "a_unencrypted: &x plain\nb: *x\nc_unencrypted: *x\n"),
    ("tags", "a: !!map {b: c}\nd: !!seq [e]\nf: !x {g: h}\n"),
    ("set", "a: !!set {b, c}\n"),
    ("omap", "a: !!omap [b: c]\n"),
    // comments
    ("head-comment", "# head\na: b\n"),
    (
        "comments-everywhere",
        "# head\n\n# before a\na: b # behind a\n# before c\nc: # behind c\n  # before d\n  d: e # behind d\n  # after d\n# before f\nf:\n  # before g\n  - g # behind g\n  # before h\n  - h\n  # after h\n# foot\n",
    ),
    ("comment-blank-lines", "a: b\n\n# one\n\n# two\nc: d\n\n# three\n\n\ne: f\n# four\n\n"),
    ("foot-comments", "a:\n  b: c\n  # foot of a\n\n# foot of the document\n\nd: e\n"),
    ("only-comment", "# nothing else\n"),
    ("comment-in-empty-map", "a:\n  # nothing\nb: c\n"),
    (
        "comment-in-list-of-maps",
        "a:\n  # one\n  - b: c\n    # two\n    d: e\n  # three\n  - # four\n    f: g\n  -\n    # five\n    h: i\n",
    ),
    ("comment-in-list-of-lists", "a:\n  # one\n  - # two\n    - b\n    # three\n    - c\n"),
    ("comment-at-end-of-list", "a:\n  - b\n  # end\nc: d\n"),
    ("comment-less-indented", "a:\n    b: c\n  # between\nd: e\n"),
    ("comment-more-indented", "a: b\n    # further in\nc: d\n"),
    (
        "comment-texts",
        "#\n##\n#a\n#  two blanks\n#\ttab\n# trailing  \n# \u{e9} \u{1f600}\n# a: b\n#- c\n#!shebang\na: b\n",
    ),
    ("comment-before-block", "a: # c\n  b: d\ne: | # f\n  g\n# h\ni: j\n"),
    ("comment-in-flow", "a: [b, # c\n  d]\ne: {f: g # h\n  }\n"),
    ("comment-after-marker", "--- # one\na: b\n--- # two\nc: d\n"),
    ("comment-between-documents", "a: b\n# one\n---\n# two\n\n# three\nc: d\n"),
    ("comment-looks-encrypted", "# ENC[AES256_GCM,data:a,iv:b,tag:c,type:comment]\na: b\n"),
    (
        "comment-above-unencrypted",
        "# one\na_unencrypted: b\n# two\nc_unencrypted:\n  # three\n  d: e # four\n  f:\n    # five\n    - g\n",
    ),
    ("comment-above-null", "# one\na: null\n# two\nb: ~ # three\nc:\n"),
    ("comment-above-alias", "a: &x b\n# one\nc: *x # two\n"),
    ("comments-and-long-text", "# one\na: |\n  # not a comment\n  text\n# two\nb: c\n"),
    (
        "kubernetes",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n  labels: {app: y}\ntype: Opaque\nstringData:\n  user: admin\n  pass: \"p: #1\"\ndata:\n  k: aGVsbG8=\n",
    ),
];

const JSON: &[(&str, &str)] = &[
    ("empty", "{}"),
    ("nothing", ""),
    ("top-list", "[1, 2]"),
    ("top-string", "\"a\""),
    ("blanks", " \n\t{ \"a\" :\r\n [ 1 , 2 ] } \n"),
    ("duplicate-keys", "{\"a\": 1, \"a\": 2, \"b\": {\"c\": 3, \"c\": 4}}"),
    ("trailing-comma", "{\"a\": 1,}"),
    ("trailing-text", "{\"a\": 1} x"),
    ("two-objects", "{\"a\": 1}\n{\"b\": 2}"),
    ("bom", "\u{feff}{\"a\": 1}"),
    ("comment", "{\"a\": 1 /* c */}"),
    ("deep", "{\"a\":{\"b\":{\"c\":{\"d\":[[[[{\"e\":[]}]]]]}}}}"),
    (
        "mixed",
        "{\"a\": [1, \"b\", null, true, {\"c\": [], \"d\": {}}], \"e\": {\"f\": -1.5e10}, \"g_unencrypted\": {\"h\": [1, null, 2.50]}}",
    ),
    (
        "tfstate",
        "{\"version\": 4, \"serial\": 17, \"lineage\": \"x-y\", \"outputs\": {\"p\": {\"value\": \"s3\", \"type\": \"string\", \"sensitive\": true}}, \"resources\": []}",
    ),
];

const DOTENV: &[(&str, &str)] = &[
    ("nothing", ""),
    ("comments", "# one\nA=b\n# two\n# three\nB=c\n#four\n"),
    ("no-final-newline", "A=b\nB=c"),
    ("many", "A=1\nB=2\nC=3\nD_unencrypted=4\nE=5\n"),
    ("only-comment", "# one\n"),
];

const INI: &[(&str, &str)] = &[
    ("nothing", ""),
    ("sections", "top = 1\n\n[one]\na = b\n\n[two]\nc = d\n\n[empty]\n\n[three]\ne = f\n"),
    ("comments", "; file\n\n; section\n[one]\n; key\na = b ; inline\n# other\nc = d\n; end\n"),
    ("alignment", "[s]\na = 1\nlong_key_name = 2\nb = 3\n[t]\n`x = y` = 4\nz = 5\n"),
    ("repeated-sections", "[s]\na = 1\n[t]\nb = 2\n[s]\nc = 3\na = 4\n"),
    ("default-section", "a = 1\n[DEFAULT]\nb = 2\n[x]\nc = 3\n"),
    ("no-final-newline", "[s]\na = b"),
    ("crlf", "[s]\r\na = b\r\n; c\r\nd = e\r\n"),
    ("bom", "\u{feff}[s]\na = b\n"),
    ("subsections", "[a]\nx = 1\n[a.b]\ny = 2\n[a.b.c]\nz = 3\n"),
];

pub fn add(cases: &mut Vec<Case>) {
    for (format, documents) in
        [(Format::Yaml, YAML), (Format::Json, JSON), (Format::Dotenv, DOTENV), (Format::Ini, INI)]
    {
        for (name, plain) in documents {
            for writer in WRITERS {
                cases.push(Case::new(format!("document/{name}"), format, *plain).by(writer));
            }
        }
    }
    for writer in WRITERS {
        let case = Case::new("document/capital-sops", Format::Json, r#"{"a": 1, "Sops": 2}"#).by(writer);
        cases.push(case.right("{\n\t\"a\": 1,\n\t\"Sops\": 2\n}\n"));
        let case =
            Case::new("document/quoted-merge", Format::Yaml, "d:\n  \"<<\": {a: 1}\n  z: 3\n").by(writer);
        cases.push(case.right("d:\n    \"<<\":\n        a: 1\n    z: 3\n"));
    }
    // Without encryption of anything, comments and scalars stay as sops wrote them.
    for (name, plain) in YAML {
        let rule = "encrypted_regex: ^nothing$\n";
        cases.push(Case::new(format!("unencrypted/{name}"), Format::Yaml, *plain).rule(rule));
    }
}
