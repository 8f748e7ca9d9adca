//! The counterfoil command line.
