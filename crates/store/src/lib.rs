//! The platform database of counterfoil: PostgreSQL and SQLite behind one trait.
