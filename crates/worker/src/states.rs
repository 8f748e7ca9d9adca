//! Values that all handlers share, found by their type.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;

/// Shared values: at most one of each type.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, (&'static str, Box<dyn Any + Send + Sync>)>);

impl States {
    /// Keeps `value`. `Err`: there is one of its type already.
    pub(crate) fn insert<T: Send + Sync + 'static>(
        &mut self,
        value: T,
    ) -> Result<(), &'static str> {
        let name = type_name::<T>();
        let before = self.0.insert(TypeId::of::<T>(), (name, Box::new(value)));
        before.map_or(Ok(()), |_| Err(name))
    }

    /// The value of type `T`.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        let (_, value) = self.0.get(&TypeId::of::<T>())?;
        value.downcast_ref()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.values().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_type_and_a_second_of_that_type_is_refused() {
        let mut states = States::default();
        assert_eq!(states.insert(7_u32), Ok(()));
        assert_eq!(states.insert(String::from("x")), Ok(()));
        assert_eq!(states.get::<u32>(), Some(&7));
        assert_eq!(states.get::<i64>(), None);
        assert_eq!(states.insert(8_u32), Err("u32"));
    }
}
