//! Black-box tests of Liaison: one binary, one module a file, so that the library is linked once.

mod definitions;
mod support;
mod tidy;
