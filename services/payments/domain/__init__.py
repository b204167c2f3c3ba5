"""The rules of money: pure, without I/O."""
