//! What every platform database must do, as tests that run for each of them.
//!
//! A crate that brings a database runs the whole suite with one line per database:
//!
//! ```ignore
//! mod sqlite { counterfoil_testkit::store_suite!(StoreSite::sqlite()); }
//! ```

pub mod again;
pub mod asking;
pub mod books;
pub mod celery;
pub mod control;
pub mod counting;
pub mod family;
pub mod feed;
pub mod filters;
pub mod glances;
pub mod history;
pub mod hostile;
pub mod identity;
pub mod leases;
pub mod lists;
pub mod merging;
pub mod missing;
pub mod operators;
pub mod outbox;
pub mod pages;
pub mod positions;
pub mod records;
pub mod requests;
pub mod retention;
pub mod rollups;
mod samples;
pub mod schedules;
pub mod search;
pub mod sessions;
mod site;
pub mod upkeep;

pub use samples::{copy, copy_of, event, fault, lineage, same_message};
pub use site::{StoreSite, select_text};

/// Declares one test per promise of the suite. The argument makes a fresh, migrated [`StoreSite`]:
/// a future of a `Result`.
#[macro_export]
macro_rules! store_suite {
    ($site:expr) => {
        $crate::store_suite_tests! {
            $site;
            merging::every_order_of_a_history_ends_in_the_same_row,
            merging::any_order_and_repetition_ends_in_the_row_that_rust_computes,
            merging::a_task_that_was_refused_waits_once_a_later_sending_is_known,
            merging::a_task_that_its_worker_put_off_waits_and_is_nobodys,
            merging::a_delivery_that_fails_beats_what_a_lost_worker_had_retried_by_itself,
            merging::two_writers_at_once_end_in_the_rows_of_one,
            merging::a_result_may_come_before_its_task,
            merging::a_tracking_copy_describes_a_task_that_events_made_known,
            merging::of_two_outcomes_of_a_run_the_higher_stays_and_runs_keep_their_own,
            merging::applying_a_batch_again_changes_nothing,
            history::a_line_is_written_once_however_often_it_is_told,
            history::history_is_told_in_the_order_of_attempts,
            history::a_retry_is_told_once_by_whoever_knows_more,
            history::a_start_that_came_with_the_end_is_a_line_of_its_own,
            history::log_lines_are_kept_once_and_make_no_row,
            hostile::texts_that_break_things_are_kept_harmless,
            hostile::json_that_jsonb_refuses_is_kept_as_it_came,
            hostile::texts_beyond_every_length_are_cut,
            hostile::times_beyond_every_calendar_are_moved,
            filters::every_filter_finds_its_tasks_and_no_others,
            filters::pages_show_every_task_once,
            filters::a_family_is_found_by_its_root,
            pages::pages_lead_forwards_and_back_in_both_orders,
            pages::a_list_may_be_of_a_session_and_end_at_a_time,
            lists::a_list_that_takes_too_long_says_where_it_was_cut,
            lists::what_a_whole_id_finds_far_away_hides_nothing_in_between,
            lists::what_succeeded_of_a_service_is_found_below_all_that_waits,
            lists::a_count_is_exact_up_to_ten_thousand_and_says_so,
            pages::dead_letters_and_parked_messages_are_read_page_by_page,
            pages::sessions_are_read_page_by_page_and_by_who_wanted_them,
            search::a_text_is_found_where_people_look_for_it,
            search::a_text_narrows_what_other_filters_choose,
            family::a_family_is_counted_by_state_and_has_the_results_that_are_its_own,
            feed::what_changes_is_told_once,
            feed::a_transaction_that_began_earlier_and_commits_later_is_told,
            feed::whatever_is_written_at_the_same_time_is_told_exactly_once,
            feed::whoever_is_too_far_behind_is_told_to_read_everything_anew,
            feed::a_feed_that_was_emptied_or_tells_too_much_is_read_anew,
            positions::what_changes_is_told_before_anybody_has_marked,
            positions::a_clock_that_is_set_back_takes_nothing_from_anybody,
            positions::what_comes_from_another_server_is_no_news,
            positions::what_is_heard_too_late_to_change_a_row_is_told,
            filters::tasks_are_counted_by_state_and_service,
            glances::of_something_large_a_part_is_read_which_says_that_there_is_more,
            glances::what_a_worker_runs_is_told_with_the_start_of_its_attempt,
            glances::tasks_that_wait_for_a_time_are_counted_by_service,
            glances::deaths_are_counted_by_service_and_time_and_parked_messages_up_to_a_number,
            records::the_last_sign_of_life_counts_and_tasks_are_remembered,
            records::dead_letters_are_kept_with_their_message,
            records::parked_messages_are_kept_byte_by_byte,
            records::workers_that_were_silent_for_long_are_forgotten,
            records::a_report_waits_until_the_copy_tells_who_was_asked,
            records::canaries_are_seen_where_they_were_seen,
            leases::a_lease_holds_while_the_state_that_came_with_it_does,
            leases::a_task_whose_lease_has_ended_is_found_and_marked_as_sent_again,
            leases::a_sign_of_life_renews_the_leases_of_its_worker_only,
            leases::a_marker_is_seen_when_it_came_every_way,
            books::what_is_dead_or_was_published_and_has_no_row_is_found,
            retention::what_is_over_goes_whole_when_its_time_is_over,
            retention::a_task_that_says_how_long_it_is_kept_is_kept_so_long,
            retention::a_cancelled_task_stays_while_its_message_may_still_come,
            retention::the_end_of_a_session_is_told_while_a_subtask_may_still_come,
            retention::what_late_reports_leave_of_a_removed_task_goes_too,
            retention::what_belongs_to_no_task_is_found_and_goes_when_it_is_old,
            retention::months_of_which_nothing_is_left_are_dropped,
            missing::a_task_that_waits_unheard_is_found_and_marked_as_sent_again,
            missing::of_a_task_it_is_known_which_delay_levels_may_have_held_it,
            missing::a_task_that_is_held_delayed_or_under_way_is_not_missing,
            missing::a_task_whose_worker_is_gone_is_missing_and_one_whose_worker_lives_is_not,
            missing::a_task_that_was_put_off_is_missing_only_after_its_first_delivery,
            missing::a_retry_is_missing_only_with_the_message_of_its_next_attempt,
            identity::the_first_of_those_with_one_identity_stays_and_the_others_are_found,
            identity::a_double_is_revoked_once_and_its_history_names_the_first,
            identity::a_task_is_found_by_its_identity_the_living_one_first,
            identity::of_two_transactions_that_claim_an_identity_one_is_told_of_the_other,
            identity::a_send_in_of_an_identity_that_lives_is_refused_and_names_the_other,
            again::tasks_that_are_over_are_deleted_whole,
            again::a_new_run_begins_where_the_last_one_ended,
            again::dead_letters_are_found_by_why_what_and_when,
            again::a_dead_letter_is_listed_until_all_such_messages_were_taken_out,
            control::what_is_asked_is_published_once_in_order,
            celery::a_caller_in_python_is_told_what_the_row_says_whatever_came_first,
            celery::a_success_stays_and_who_wants_no_result_is_told_nothing,
            celery::stamps_are_told_as_they_came_whatever_they_are,
            celery::a_task_that_is_never_sent_failed_and_one_that_was_sent_all_the_same_did_not,
            celery::what_others_told_of_a_task_stays_and_of_one_that_was_sent_it_is_not_said_that_it_never_was,
            celery::a_chord_does_not_fail_because_of_a_task_that_is_under_way_while_another_service_says_it_is_not,
            celery::a_task_does_not_fail_because_of_what_another_family_says_goes_on_in_its_place,
            celery::a_chord_that_cannot_be_told_of_now_lets_others_go_first,
            celery::a_task_that_runs_again_is_waited_for_though_a_later_one_was,
            celery::no_more_is_asked_for_of_results_than_a_message_holds,
            celery::tables_are_made_where_there_are_none_and_used_as_they_are,
            celery::results_are_pickled_where_that_is_asked_for,
            celery::results_of_celerys_workers_are_what_they_wrote_and_else_what_they_printed,
            celery::tasks_that_were_revoked_are_told_so_unless_somebody_has_begun_them,
            celery::what_callers_were_told_goes_with_the_task,
            celery::what_callers_were_told_of_tasks_that_nobody_knows_is_forgotten,
            celery::whoever_waits_for_a_group_is_told_once_when_all_of_it_is_over,
            celery::a_group_of_which_one_failed_or_is_never_sent_is_told_of_the_first,
            celery::what_workers_of_celery_wrote_counts_for_those_who_wait,
            celery::a_failure_that_is_out_of_date_skips_nothing,
            celery::a_task_fails_with_those_that_went_on_in_its_place,
            celery::a_task_for_which_a_chord_waits_is_kept_until_that_is_told,
            celery::a_chord_whose_header_takes_too_long_has_failed,
            celery::a_task_that_runs_again_does_not_fail_because_of_what_was_skipped_before,
            celery::nobody_waits_for_ever_for_a_task_that_nobody_knows,
            celery::results_that_cannot_be_stored_are_told_as_a_failure_and_delay_no_other_chord,
            asking::a_question_about_a_session_waits_apart_and_is_gone_once_it_is_answered,
            asking::what_has_not_held_for_long_is_forgotten_page_by_page,
            control::what_holds_is_the_latest_that_was_not_taken_back,
            control::a_task_that_was_cancelled_before_it_started_is_revoked_at_once,
            control::a_held_task_is_not_sent_again_until_it_is_released,
            control::what_holds_is_published_again_until_its_tasks_are_over,
            rollups::everything_counts_once_whatever_is_told_first,
            rollups::a_failure_that_became_a_success_is_one_success,
            rollups::run_times_have_their_sizes,
            rollups::a_task_waits_until_its_first_attempt_is_started,
            counting::an_attempt_that_is_started_twice_counts_once,
            counting::what_two_write_at_the_same_time_counts_once,
            counting::numbers_are_added_up_where_all_tables_are_published,
            rollups::numbers_are_added_up_once_by_any_number_of_daemons,
            rollups::numbers_are_read_by_span_and_kept_for_as_long_as_those_are,
            operators::what_somebody_did_is_recorded_once_and_found,
            operators::a_deed_with_texts_that_break_things_is_recorded,
            requests::a_request_that_is_repeated_is_known_and_another_one_is_refused,
            requests::of_requests_at_the_same_time_one_is_new,
            requests::a_request_that_nobody_answers_is_claimed_again_by_one_once_it_is_old,
            requests::a_request_that_came_to_nothing_gives_its_key_back,
            schedules::a_schedule_fires_once_for_a_time_however_many_try,
            schedules::a_schedule_can_be_paused_resumed_and_removed,
            outbox::a_task_is_in_the_outbox_and_in_its_row_if_and_only_if_its_transaction_commits,
            outbox::messages_are_due_in_the_order_of_sending_whatever_queues_are_left_out,
            outbox::what_was_sent_or_can_never_be_is_not_due_any_more,
            outbox::what_was_refused_is_tried_once_more_or_thrown_away,
            outbox::whoever_listens_is_woken_by_a_commit,
            outbox::a_transaction_of_another_database_and_an_endless_delay_are_refused,
            sessions::every_order_of_a_session_ends_in_the_same_counters_and_one_finalizer,
            sessions::whatever_becomes_of_subtasks_a_session_counts_it_as_a_model_does,
            sessions::a_finalizer_is_told_how_every_subtask_ended,
            sessions::results_that_are_large_together_are_left_out_of_the_summary,
            sessions::a_task_that_a_session_does_not_list_counts_for_nothing_there,
            sessions::a_session_without_subtasks_is_over_at_once_and_opened_once,
            sessions::a_session_goes_after_the_last_of_its_tasks,
            sessions::old_sessions_are_found_by_how_long_those_of_their_finalizers_are_kept,
            sessions::a_session_of_any_number_of_subtasks_times_out,
            sessions::a_subtask_that_was_refused_and_runs_after_all_is_waited_for,
            sessions::a_retry_that_was_given_up_counts_whenever_it_is_heard_of,
            sessions::an_aborted_session_is_over_when_its_subtasks_are,
            sessions::sessions_are_counted_until_they_are_over,
            sessions::subtasks_that_were_never_sent_are_counted,
            sessions::a_session_whose_finalizer_cannot_be_read_ends_and_tells_so,
            sessions::a_session_whose_time_is_over_ends_with_what_is_missing_as_failed,
            sessions::a_time_out_that_was_left_in_the_middle_is_one,
            sessions::subtasks_of_an_open_session_cannot_be_deleted,
            sessions::whoever_follows_is_told_of_sessions_that_change,
            sessions::whoever_follows_is_told_that_a_finalizer_was_thrown_away,
            sessions::the_session_of_a_task_is_known_from_its_copy_too,
            upkeep::the_database_touches_last_updated,
            upkeep::migrating_again_or_all_at_once_does_no_harm,
            upkeep::one_leads_at_a_time,
            upkeep::an_unroutable_task_is_found_and_marked_as_sent_again,
            upkeep::unroutable_tasks_are_found_by_their_key_and_in_pages,
            upkeep::nothing_is_written_without_a_secret_for_public_ids,
            upkeep::the_clock_is_that_of_the_database,
        }
    };
}

/// The inside of [`store_suite!`].
#[doc(hidden)]
#[macro_export]
macro_rules! store_suite_tests {
    ($site:expr; $($topic:ident :: $test:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                let site = $site.await?;
                $crate::store_suite::$topic::$test(&site).await
            }
        )*
    };
}
