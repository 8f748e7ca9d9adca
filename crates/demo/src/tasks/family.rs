//! Tasks that schedule tasks.

use counterfoil_toolbox::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schedules `width` children of its own kind, down to `depth` generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tree {
    /// Children of each task.
    pub width: u32,
    /// Generations below this task; 0 schedules nothing.
    pub depth: u32,
}

impl Tree {
    /// Largest family that a single task may start.
    pub const MAX_DESCENDANTS: u32 = 100_000;

    /// Children, grandchildren and so on. `None`: more than [`Self::MAX_DESCENDANTS`].
    #[must_use]
    pub fn descendants(self) -> Option<u32> {
        if self.width == 0 {
            return Some(0);
        }
        let (mut generation, mut all) = (1_u32, 0_u32);
        for _ in 0..self.depth {
            generation = generation.checked_mul(self.width)?;
            all = all
                .checked_add(generation)
                .filter(|all| *all <= Self::MAX_DESCENDANTS)?;
        }
        Some(all)
    }
}

impl Task for Tree {
    const NAME: &'static str = "demo.tree";
    /// The children that it scheduled itself.
    type Output = u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_counted_over_all_generations() {
        for (width, depth, wanted) in [
            (3, 2, Some(12)),
            (2, 0, Some(0)),
            (0, u32::MAX, Some(0)),
            (1, 5, Some(5)),
            (10, 5, None),
            (u32::MAX, 2, None),
            (1, u32::MAX, None),
        ] {
            assert_eq!(
                Tree { width, depth }.descendants(),
                wanted,
                "{width} {depth}"
            );
        }
    }
}
