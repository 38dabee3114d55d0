"""RabbitMQ: topology, consuming, publishing."""
