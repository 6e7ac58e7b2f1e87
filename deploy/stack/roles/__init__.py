"""Who our processes are on PostgreSQL, Valkey and RabbitMQ, and the files that create these roles."""
