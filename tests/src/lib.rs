//! Nothing here: the tests are in `e2e/`.
