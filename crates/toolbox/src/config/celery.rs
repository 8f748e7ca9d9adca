//! Settings for callers in Python.

/// How results are written for callers in Python. [`SyncSettings::celery_results`](super::SyncSettings::celery_results) says where.
///
/// ```
/// use counterfoil_toolbox::config::{CeleryEncoding, SyncSettings};
///
/// let settings = SyncSettings { celery_results: Some(CeleryEncoding::Json), ..SyncSettings::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CeleryEncoding {
    /// As JSON, which Celery reads from 5.7 on.
    Json,
    /// As pickles of plain data, which every Celery reads; 5.7 writes a warning into its log each time.
    Pickle,
}
