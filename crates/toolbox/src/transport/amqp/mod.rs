//! RabbitMQ over AMQP, through lapin.
