//! One scenario, one JSON line: how fast counterfoil is.
