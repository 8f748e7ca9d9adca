//! The daemon that mirrors every task into the platform database.
