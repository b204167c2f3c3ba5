"""Every network call of payments that is not its own database or Kafka."""
