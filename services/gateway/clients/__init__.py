"""Every network call of the gateway that is not its own database or Kafka."""
