//! Private RabbitMQ and PostgreSQL nodes, and the suites that every transport and store must pass.
