//! What every transport promises. What is not here is not promised.
//!
//! [`transport_suite_tests!`](crate::transport_suite_tests) makes a test of each promise, on a
//! [`Stage`] of its own: a fresh broker in memory, or a fresh vhost of RabbitMQ.

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the name of a promise is its documentation, and it fails when it is broken"
)]

mod awaiting;
mod stage;
mod values;

pub mod declaring;

pub mod routing;

pub mod publishing;

pub mod sending;

pub mod consuming;

pub mod links;

pub mod stopping;

pub mod trouble;

pub mod deaths;

pub mod delays;

pub mod streams;

pub use awaiting::Received;
pub use stage::Stage;

/// Makes a test of every promise: attributes of the tests, then a future of a [`Stage`].
///
/// ```ignore
/// transport_suite_tests!(#[tokio::test(start_paused = true)] async { Ok(Stage::memory()) });
/// ```
#[macro_export]
macro_rules! transport_suite_tests {
    ($(#[$attribute:meta])+ $stage:expr) => {
        $crate::transport_suite_tests! { @all [$(#[$attribute])+] ($stage)
            declaring: [
                the_whole_topology_applies_twice_and_then_plans_as_present,
                what_is_missing_is_found_missing_and_not_created_by_looking,
                a_queue_with_other_arguments_is_told_apart_in_the_brokers_words,
                an_exchange_of_another_kind_is_told_apart_in_the_brokers_words,
                arguments_that_make_no_sense_are_refused,
                a_binding_needs_both_its_ends,
                the_default_exchange_cannot_be_declared,
                deleting_what_is_not_there_is_fine,
                a_queue_created_again_is_empty_and_unbound,
                the_broker_says_who_it_is,
            ]
            routing: [
                one_publish_reaches_the_service_and_the_tracking_queue,
                what_no_service_owns_is_tracked_and_set_aside_as_unroutable,
                what_the_platform_sends_again_is_not_tracked_twice,
                a_queue_that_is_reached_by_two_ways_gets_one_copy,
                exchanges_bound_in_a_ring_pass_a_message_on_once,
                an_alternate_is_asked_only_when_no_binding_was_taken,
                patterns_match_word_by_word,
                headers_are_matched_as_the_binding_asks,
                direct_and_default_exchanges_go_by_the_very_key,
            ]
            publishing: [
                a_thousand_pipelined_messages_are_confirmed_and_keep_their_order,
                a_mandatory_message_without_a_queue_comes_back_and_the_next_is_fine,
                without_mandatory_a_message_without_a_queue_is_confirmed_and_gone,
                a_missing_exchange_is_refused_and_the_publisher_is_usable_afterwards,
                an_internal_exchange_refuses_publishers,
                a_full_quorum_queue_refuses_until_it_has_room_again,
                a_queue_that_stays_full_costs_those_of_others_nothing,
                a_full_classic_queue_refuses_although_the_other_queue_took_its_copy,
                headers_of_every_type_survive_a_round_trip,
                properties_survive_a_round_trip,
                a_body_of_a_mebibyte_survives_a_round_trip,
                what_does_not_fit_a_frame_is_refused_and_the_publisher_is_usable_afterwards,
                a_closed_transport_says_so,
            ]
            sending: [
                a_task_that_its_full_queue_refuses_is_reported_as_rejected,
                a_task_that_is_sent_again_is_told_apart_from_the_sending_that_was_refused,
                a_full_queue_refuses_every_way_of_sending_and_delayed_tasks_go_beside_it,
                each_class_of_a_service_with_priorities_has_queues_of_its_own,
                a_class_that_its_service_has_no_queue_for_is_unroutable,
            ]
            consuming: [
                a_consumer_begins_with_one_message_and_widens_to_its_prefetch,
                the_prefetch_can_be_changed_while_it_consumes,
                one_slow_message_at_the_head_does_not_stall_thousands_behind_it,
                acknowledging_everything_leaves_the_queue_empty,
                two_consumers_share_a_queue,
                a_returned_message_comes_back_counted_and_before_all_others,
                a_queue_without_a_limit_puts_a_returned_message_at_its_end,
                a_classic_queue_puts_a_returned_message_where_it_was_and_does_not_count,
                a_returned_message_narrows_its_consumer_to_one,
                it_widens_again_although_an_innocent_of_before_is_still_in_hand,
                a_long_task_that_was_given_back_holds_up_the_others_for_seconds_only,
            ]
            links: [
                a_message_tells_which_consumer_of_its_channel_got_it,
                what_an_ended_consumer_holds_can_be_returned_and_goes_to_one_that_waits,
                a_consumer_that_is_full_learns_that_its_queue_was_deleted,
                everybody_with_a_mailbox_gets_each_word_and_it_goes_with_its_reader,
            ]
            stopping: [
                after_cancel_the_channel_is_closed_once_everything_in_hand_is_settled,
                after_cancel_nothing_new_comes_and_what_is_in_hand_can_be_settled,
                a_paused_subscription_takes_nothing_and_goes_on_when_it_is_resumed,
                what_came_before_a_pause_can_be_given_back_at_once,
                a_subscription_tells_its_consumers_and_what_nothing_was_said_of,
                a_subscription_that_is_paused_stays_so_when_its_connection_breaks,
                close_returns_what_was_not_settled,
                a_dropped_subscription_returns_everything,
                all_that_was_settled_right_before_the_close_is_settled,
            ]
            trouble: [
                a_subscription_survives_its_queue_being_deleted_and_created_again,
                a_subscription_waits_for_a_queue_that_is_not_there_yet,
                a_lost_connection_returns_what_was_in_hand_and_the_consumer_comes_back_alone,
                a_publisher_survives_a_lost_connection,
                settling_after_a_lost_connection_is_told_to_be_stale,
                only_the_poison_dies_of_it_and_no_innocent_that_was_in_hand_beside_it,
            ]
            deaths: [
                a_message_that_comes_back_too_often_is_dead_and_the_platform_learns_of_it,
                a_rejected_message_goes_where_its_queue_sends_the_dead,
                deaths_are_told_newest_first_and_counted_by_queue_and_reason,
                a_message_expires_after_the_time_of_its_queue,
                only_the_head_of_a_queue_expires,
                an_expired_tracking_copy_reaches_the_queue_of_the_expired,
                what_died_otherwise_in_the_tracking_queue_goes_to_the_last_resort,
                a_full_queue_that_drops_its_head_sends_it_to_the_dead,
                a_message_does_not_go_round_in_circles_by_itself,
                a_message_that_somebody_rejected_may_come_round_again,
            ]
            delays: [
                a_delayed_task_is_tracked_at_once_and_comes_out_when_it_is_due,
                a_longer_delay_does_not_hold_up_a_shorter_one,
                delayed_tasks_of_a_missing_service_do_not_hold_up_others,
                a_delay_that_the_message_limits_itself_comes_early_and_lasts_no_longer,
            ]
            streams: [
                every_reader_gets_all_of_a_stream_and_leaves_it_there,
                a_reader_gets_what_is_written_while_it_reads,
                an_older_part_of_a_stream_can_be_left_out,
                whoever_begins_at_the_end_of_a_stream_gets_its_last_message,
                a_stream_position_means_nothing_to_a_queue,
            ]
        }
    };
    (@all $attributes:tt $stage:tt $($module:ident: [$($promise:ident,)+])+) => {
        $($($crate::transport_suite_tests! { @one $attributes $stage $module $promise })+)+
    };
    (@one [$(#[$attribute:meta])+] ($stage:expr) $module:ident $promise:ident) => {
        $(#[$attribute])+
        async fn $promise() -> anyhow::Result<()> {
            $crate::transport_suite::$module::$promise($stage.await?).await
        }
    };
}
