"""PostgreSQL, Valkey and RabbitMQ of a stack: private ones, or external ones that the environment names."""
