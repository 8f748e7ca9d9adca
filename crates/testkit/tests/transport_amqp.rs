//! RabbitMQ keeps the promises of the suite through our AMQP transport.

use counterfoil_testkit::transport_suite::Stage;
use counterfoil_testkit::transport_suite_tests;

transport_suite_tests!(
    #[tokio::test]
    Stage::rabbit()
);
