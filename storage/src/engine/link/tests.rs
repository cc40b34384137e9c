//! Tests of the links.
