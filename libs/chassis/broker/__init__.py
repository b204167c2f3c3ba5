"""Kafka: topics that come into being, a producer, subscriptions with their policy said at the call site."""
