"""The rules of notifications: what there is to tell, in which words, and when a failed try is repeated. No I/O."""
