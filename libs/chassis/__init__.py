"""Plumbing without a business word: what every service needs and none should write twice."""
