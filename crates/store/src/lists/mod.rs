//! Lists and counts that are quick however many tasks there are.
//!
//! A list with one filter reads one index in the order of sending and stops at the end of the page. With several
//! filters, or a text, the database guesses which way is short, and may guess wrong; so such a list has a deadline of
//! its own, and when that has passed only the nearest tasks are looked at, which the answer says.

mod page;
mod search;
mod statements;

pub use page::{Counted, LivingCount, TaskPage};
pub(crate) use page::{
    LOOKED_AT, MOST_COUNTED, Places, Root, SOON, Way, goes_by_types, in_order, not_after, start,
    up_to, wanted_types,
};
pub(crate) use search::{Search, text_of};
pub(crate) use statements::list_statements;

use crate::error::StoreError;
use crate::filter::TaskFilter;
use async_trait::async_trait;
use std::time::Duration;

/// Lists for people. Part of [`Store`](crate::Store).
#[async_trait]
pub trait Lists: Send + Sync {
    /// Like [`tasks`](crate::Store::tasks), but for somebody who waits: what takes longer than `within` (of use are
    /// some 300 ms) is given up, and what the nearest 20,000 tasks have of it is the answer: see
    /// [`TaskPage::cut_at`].
    async fn page(&self, filter: &TaskFilter, within: Duration) -> Result<TaskPage, StoreError>;

    /// How many tasks match, wherever a page of them begins: up to 10,000 are counted, for at most 300 ms.
    async fn count_tasks(&self, filter: &TaskFilter) -> Result<Counted, StoreError>;

    /// How many tasks are in each of the states that are not the end, up to 10,000 of each. Unlike counting by
    /// state, it does not read the whole table.
    async fn count_living(&self) -> Result<Vec<LivingCount>, StoreError>;
}

/// Implements [`Lists`], and `tasks_now` for [`Store::tasks`](crate::Store::tasks), for a store that has what
/// [`implement_store!`](crate::calls::implement_store) needs, and the methods `all_soon` and `estimate_now`.
macro_rules! implement_lists {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::lists::Lists for $store {
            async fn page(
                &self,
                filter: &TaskFilter,
                within: Duration,
            ) -> Result<crate::lists::TaskPage, StoreError> {
                let search = self.search(filter).await?;
                let mut near = None;
                if search.is_some() {
                    // A text that many have is among the nearest, and for one that few have there are indexes of its
                    // parts: which of both it is, the database's statistics know badly.
                    near = self.nearest(filter, search.clone()).await?;
                    if let Some(page) = near.take_if(|page| page.cut_at.is_none()) {
                        return Ok(page);
                    }
                }
                let all = self.looked_for((filter, filter), search.clone(), Some(within));
                if let Some(tasks) = all.await? {
                    return Ok(crate::lists::TaskPage::whole(tasks));
                }
                if near.is_none() {
                    near = self.nearest(filter, search).await?;
                }
                Ok(near.unwrap_or_else(|| crate::lists::TaskPage::whole(Vec::new())))
            }

            async fn count_tasks(
                &self,
                filter: &TaskFilter,
            ) -> Result<crate::lists::Counted, StoreError> {
                let mut all = filter.clone();
                (all.after, all.before) = (None, None);
                let search = self.search(&all).await?;
                let most = i64::try_from(crate::lists::MOST_COUNTED).unwrap_or(i64::MAX) + 1;
                let count = Self::matching(query_as(self.sql.count_tasks), &all, most, Root::Too);
                let count = Self::searching(count, search.as_ref(), Places::All);
                let soon = (crate::lists::SOON, Way::Planners);
                let count = self.all_soon::<(i64,)>("count tasks", count, soon);
                let counted = count.await?.and_then(|rows| rows.into_iter().next());
                let counted = counted.map(|(count,)| count.unsigned_abs());
                if counted.is_some_and(|counted| counted <= crate::lists::MOST_COUNTED) {
                    return Ok(crate::lists::Counted::of(counted, None));
                }
                let estimate = self.estimate_now(&all, search.as_ref()).await?;
                Ok(crate::lists::Counted::of(counted, estimate))
            }

            async fn count_living(&self) -> Result<Vec<crate::lists::LivingCount>, StoreError> {
                let living = TaskState::ALL
                    .into_iter()
                    .filter(|state| !state.is_terminal());
                let most = i64::try_from(crate::lists::MOST_COUNTED).unwrap_or(i64::MAX) + 1;
                let counts = query_as(self.sql.count_living)
                    .bind(Self::texts(living.map(TaskState::as_str)))
                    .bind(most);
                let counts: Vec<StateCount> = self.all("count living tasks", counts).await?;
                let mut living = Vec::with_capacity(counts.len());
                for StateCount { state, tasks } in counts {
                    let estimate = if tasks < most {
                        None
                    } else {
                        let all = TaskFilter {
                            state: Some(state),
                            ..TaskFilter::default()
                        };
                        self.estimate_now(&all, None).await?
                    };
                    let tasks = crate::lists::Counted::of(Some(tasks.unsigned_abs()), estimate);
                    living.push(crate::lists::LivingCount { state, tasks });
                }
                Ok(living)
            }
        }

        impl $store {
            /// All that matches, however long that takes within the time for a statement.
            async fn tasks_now(&self, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError> {
                let search = self.search(filter).await?;
                let tasks = self.looked_for((filter, filter), search, None).await?;
                Ok(tasks.expect("without a deadline of its own it is answered"))
            }

            /// What matches of the nearest tasks; `None`: there are none.
            async fn nearest(
                &self,
                filter: &TaskFilter,
                search: Option<crate::lists::Search>,
            ) -> Result<Option<crate::lists::TaskPage>, StoreError> {
                let edge = match filter.walk() {
                    TaskOrder::NewestFirst => self.sql.edge_older,
                    TaskOrder::OldestFirst => self.sql.edge_newer,
                };
                let edge = query_as::<_, (DateTime<Utc>, bool)>(edge)
                    .bind(Self::time(crate::lists::start(filter)))
                    .bind(crate::lists::LOOKED_AT);
                let edge = self.all("look how far a list is read", edge).await?;
                let Some((edge, is_last)) = edge.into_iter().next() else {
                    return Ok(None);
                };
                let (near, beyond) = crate::lists::up_to(filter, edge);
                let tasks = self.looked_for((filter, &near), search, None).await?;
                Ok(tasks.map(|tasks| {
                    // One that was found by its whole id may be far beyond, with others in between.
                    let found = tasks.iter().filter(|row| near.admits(row)).count();
                    let cut_at = beyond.filter(|_| !is_last && found < filter.most());
                    crate::lists::TaskPage { tasks, cut_at }
                }))
            }

            /// A filter for the same tasks that begins at the newest of all that have succeeded, where only such are
            /// asked for: the index of types does not tell states, so all that wait and are newer would be read.
            /// `None`: none has succeeded.
            async fn below_what_waits(
                &self,
                filter: &TaskFilter,
            ) -> Result<Option<TaskFilter>, StoreError> {
                let of_success = filter.state == Some(TaskState::Success);
                if !of_success || filter.walk() == TaskOrder::OldestFirst {
                    return Ok(Some(filter.clone()));
                }
                let newest = query_as::<_, (DateTime<Utc>,)>(self.sql.newest_success)
                    .bind(Self::time(crate::lists::start(filter)));
                let newest = self.all("look for the newest success", newest).await?;
                let newest = newest.into_iter().next();
                Ok(newest.map(|(at,)| crate::lists::not_after(filter, at)))
            }

            /// What matches a filter; `None`: it would have taken longer than that. A task whose whole id is the text
            /// may be anywhere in `all`.
            async fn looked_for(
                &self,
                (all, filter): (&TaskFilter, &TaskFilter),
                mut search: Option<crate::lists::Search>,
                time: Option<Duration>,
            ) -> Result<Option<Vec<TaskRow>>, StoreError> {
                let (mut rows, mut kinds) = (Vec::new(), Vec::new());
                let by_types = crate::lists::goes_by_types(filter);
                let mut one = filter.root.as_deref();
                if let Some(search) = &mut search {
                    one = Some(&search.whole);
                    if by_types {
                        kinds = std::mem::take(&mut search.kinds);
                    }
                } else if by_types && filter.service.is_some() && filter.name.is_none() {
                    kinds = self.kinds().await?;
                    crate::lists::wanted_types(filter, &mut kinds);
                }
                if let Some(one) = one {
                    rows.extend(self.task(one).await?.filter(|row| all.admits(row)));
                }
                let places = match &search {
                    Some(search) if search.part.is_some() => &[Places::Errors, Places::Others][..],
                    Some(_) => &[Places::Others],
                    None if kinds.is_empty() => &[Places::All],
                    None => &[],
                };
                for place in places {
                    let listed = self.all_matching(filter, (search.as_ref(), *place), time);
                    let Some(listed) = listed.await? else {
                        return Ok(None);
                    };
                    rows.extend(listed);
                }
                let mut of_types = None;
                if !kinds.is_empty() {
                    of_types = self.below_what_waits(filter).await?;
                }
                if let Some(filter) = of_types {
                    let listed = self.all_of_types(&filter, &kinds, time).await?;
                    let Some(listed) = listed else {
                        return Ok(None);
                    };
                    rows.extend(listed);
                }
                Ok(Some(crate::lists::in_order(rows, filter)))
            }
        }

        $crate::lists::list_statements!($store);
    };
}

pub(crate) use implement_lists;
