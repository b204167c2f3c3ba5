"""What services share: `contracts` (what they may know of each other) and `chassis` (plumbing)."""
