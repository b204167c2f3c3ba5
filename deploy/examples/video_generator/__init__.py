"""A service that generates videos for credits."""
