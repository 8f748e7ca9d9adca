//! The counterfoil worker runtime: typed async handlers over RabbitMQ.
